"""What is wrong with entries and blocks, in words."""

from writecache_impl.tools.picture import (
    BEYOND,
    IDENTICAL,
    MISALIGNED,
    UNREADABLE,
    Picture,
)
from writecache_impl.tools.problems import Problem, Severity, counted, listed, some

_CONSEQUENCES = {
    BEYOND: "a kernel would drop it without a word: is this the right origin, is it whole?",
    MISALIGNED: "no kernel wrote this: the entry is damaged, its block belongs nowhere",
    UNREADABLE: "what was written last is lost; the origin has what was there before",
    IDENTICAL: "nobody can tell which one was written last; a kernel reads the later block",
}


def problems_of(picture: Picture) -> list[Problem]:
    """All that is wrong with a cache's entries, and what a crash has left in them."""
    survey = picture.survey
    found = []
    if survey.unreadable:
        found.append(
            Problem(
                Severity.ERROR,
                "entries",
                f"{counted(len(survey.unreadable), 'entry')} cannot be read: "
                f"{listed(survey.unreadable)}",
                "their blocks may be the newest of any sector: nobody can tell of which; a kernel "
                "that meets a read error in the metadata begins with an empty cache and its error "
                "flag set",
                some(survey.unreadable),
            )
        )
    if survey.identical:
        found.append(
            Problem(
                Severity.ERROR,
                "entries",
                f"{counted(len(survey.identical), 'entry')} with sector and sequence count of "
                f"another: {listed(survey.identical)}",
                "a kernel sets its error flag: it reads, but takes no write, brings nothing home",
                some(survey.identical),
            )
        )
    for reason, places in picture.doubts.items():
        blocks = [survey.live_blocks[place] for place in places[:17]]
        sectors = [survey.live_sectors[place] for place in places[:17]]
        found.append(
            Problem(
                Severity.ERROR,
                "blocks",
                f"{counted(len(places), 'block')}: {reason}: {listed(blocks)} "
                f"(sectors {listed(sectors)})",
                _CONSEQUENCES[reason],
                some(blocks),
            )
        )
    if survey.uncommitted:
        found.append(
            Problem(
                Severity.NOTE,
                "entries",
                f"{counted(len(survey.uncommitted), 'entry')} that no commit reached",
                "they were never promised to be durable; recovery frees them",
                some(survey.uncommitted),
            )
        )
    if survey.superseded:
        found.append(
            Problem(
                Severity.NOTE,
                "entries",
                f"{counted(len(survey.superseded), 'entry')} of which there is a newer one",
                "the newer one counts; recovery frees them",
                some(survey.superseded),
            )
        )
    return found
