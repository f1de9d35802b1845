// SPDX-License-Identifier: GPL-2.0-only
// A writecache in memory that speaks the line protocol (docs/line-protocol.md), levels 1 and 2.
//
// Simple, slow and right: a write takes a free block of the cache; a commit writes all entries, then
// the superblock whose sequence count makes them valid; a cache that is full is written back whole.
// The two devices have volatile write caches, so that the power can fail.
// --plant-bug order|flush|fua|read|image makes it wrong.
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512, HEADER = 64, ENTRY = 16 };
typedef struct { uint8_t *now, *durable, *pending; uint64_t sectors; } device;

static device cache, origin;
static jmp_buf power;
static uint64_t after, lottery; // I/Os until the power fails, 0: it does not; random numbers
static uint32_t block_size;
static uint64_t per_block, n_blocks, data_start, seq_count; // data_start: sector of the first block
static uint64_t *place, *seq; // of each block: its sector of the origin, FREE or not; when written
static int is_open;
static const uint64_t FREE = UINT64_MAX;
static const char *bug = "";

static int planted(const char *name) { return !strcmp(bug, name); }
static void count_io(void) { if (after && !--after) longjmp(power, 1); }
static uint64_t lot(void) { return (lottery = lottery * 6364136223846793005u + 1442695040888963407u) >> 33; }

// Devices

static int load(device *d, const char *path) {
	FILE *file = fopen(path, "rb");
	if (!file || fseek(file, 0, SEEK_END)) return -1;
	d->sectors = ftell(file) / SECTOR;
	rewind(file);
	d->now = realloc(d->now, d->sectors * SECTOR);
	d->durable = realloc(d->durable, d->sectors * SECTOR);
	d->pending = realloc(d->pending, d->sectors);
	memset(d->pending, 0, d->sectors);
	int short_read = fread(d->now, SECTOR, d->sectors, file) != d->sectors;
	memcpy(d->durable, d->now, d->sectors * SECTOR);
	return fclose(file) | short_read;
}
static int save(device *d, const char *path) {
	FILE *file = fopen(path, "wb");
	if (!file) return -1;
	int short_write = fwrite(d->now, SECTOR, d->sectors, file) != d->sectors;
	return fclose(file) | short_write;
}
static void put(device *d, uint64_t sector, uint64_t count, const uint8_t *data) {
	memcpy(d->now + sector * SECTOR, data, count * SECTOR);
	memset(d->pending + sector, 1, count);
	count_io(); // here it is pending: any of its sectors may be kept
}
static void flush(device *d) {
	count_io();
	for (uint64_t s = 0; s < d->sectors; s++)
		if (d->pending[s]) memcpy(d->durable + s * SECTOR, d->now + s * SECTOR, SECTOR);
	memset(d->pending, 0, d->sectors);
}
static void lose(device *d) { // the power has failed: each pending sector is kept, or is not
	for (uint64_t s = 0; s < d->sectors; s++)
		if (d->pending[s] && lot() % 2) memcpy(d->durable + s * SECTOR, d->now + s * SECTOR, SECTOR);
	memcpy(d->now, d->durable, d->sectors * SECTOR);
	memset(d->pending, 0, d->sectors);
}

// Metadata: a header of 64 bytes (magic, version, block size, -, blocks, sequence count, ...), then
// for each block its sector of the origin and its sequence count; little endian, as Linux has it.

static void put32(uint8_t *p, uint32_t v) { for (int i = 0; i < 4; i++) p[i] = v >> 8 * i; }
static void put64(uint8_t *p, uint64_t v) { for (int i = 0; i < 8; i++) p[i] = v >> 8 * i; }
static uint64_t get(const uint8_t *p, int n) { uint64_t v = 0; while (n--) v = v << 8 | p[n]; return v; }
static uint64_t unit(void) { return planted("image") ? per_block : 1; }

static void write_metadata(uint64_t n_sectors) {
	uint8_t *area = calloc(data_start, SECTOR);
	put32(area, 0x23489321), put32(area + 4, 1), put32(area + 8, block_size);
	put64(area + 16, n_blocks), put64(area + 24, seq_count);
	for (uint64_t i = 0; i < n_blocks; i++) {
		put64(area + HEADER + i * ENTRY, place[i] == FREE ? FREE : place[i] / unit());
		put64(area + HEADER + i * ENTRY + 8, seq[i]);
	}
	memcpy(cache.now, area, n_sectors * SECTOR);
	free(area);
	put(&cache, 0, n_sectors, cache.now);
}
static void let_go(uint64_t block) { place[block] = seq[block] = FREE; }
static int64_t find(uint64_t sector) { // the latest block of a sector, -1: there is none
	int64_t found = -1;
	for (uint64_t i = 0; i < n_blocks; i++)
		if (place[i] == sector && (found < 0 || seq[i] > seq[found])) found = i;
	return found;
}
static void drop_outdated(void) {
	for (uint64_t i = 0; i < n_blocks; i++)
		if (place[i] != FREE && find(place[i]) != (int64_t)i) let_go(i);
	write_metadata(data_start);
	flush(&cache);
}
static void commit(void) {
	if (planted("flush")) return;
	write_metadata(data_start);
	if (!planted("order")) flush(&cache); // data and entries, before what makes them valid
	seq_count++;
	write_metadata(1);
	flush(&cache);
	drop_outdated();
}
static void write_back(void) {
	commit();
	for (uint64_t i = 0; i < n_blocks; i++)
		if (place[i] != FREE)
			put(&origin, place[i], per_block, cache.now + (data_start + i * per_block) * SECTOR);
	flush(&origin);
	for (uint64_t i = 0; i < n_blocks; i++) let_go(i);
	write_metadata(data_start);
	flush(&cache);
}
static const char *open_cache(const char *line) {
	if (sscanf(line, "[\"open\", \"s ORIGIN CACHE %u", &block_size) != 1 || block_size % SECTOR || !block_size || block_size > 4096)
		return "EINVAL";
	uint64_t size = cache.sectors * SECTOR, is_old = get(cache.now, 4) == 0x23489321;
	per_block = block_size / SECTOR;
	if (is_old && (get(cache.now + 4, 4) != 1 || get(cache.now + 8, 4) != block_size)) return "EINVAL";
	for (n_blocks = is_old ? get(cache.now + 16, 8) : size / (block_size + ENTRY); n_blocks; n_blocks--) {
		data_start = (HEADER + n_blocks * ENTRY + block_size - 1) / block_size * per_block;
		if (data_start + n_blocks * per_block <= cache.sectors) break;
	}
	if (!n_blocks) return "ENOSPC";
	seq_count = is_old ? get(cache.now + 24, 8) : 0;
	place = realloc(place, n_blocks * sizeof *place), seq = realloc(seq, n_blocks * sizeof *seq);
	for (uint64_t i = 0; i < n_blocks; i++) {
		const uint8_t *entry = cache.now + HEADER + i * ENTRY;
		let_go(i);
		if (is_old && get(entry + 8, 8) < seq_count) // else it was never committed
			place[i] = get(entry, 8) * unit(), seq[i] = get(entry + 8, 8);
	}
	drop_outdated();
	is_open = 1;
	return NULL;
}

// Requests

static void write_block(uint64_t sector, const uint8_t *data) {
	int64_t block = find(sector);
	if (block < 0 || seq[block] != seq_count) { // committed: it stays until the next commit
		if ((block = find(FREE)) < 0) write_back(), block = find(FREE);
		place[block] = sector, seq[block] = seq_count;
	}
	put(&cache, data_start + block * per_block, per_block, data);
}
static void write_pattern(uint64_t sector, uint64_t count, uint64_t tag) {
	uint8_t data[4096];
	for (uint64_t at = sector; at < sector + count; at += per_block) {
		for (uint64_t i = 0; i < per_block * SECTOR; i += 16)
			put64(data + i, tag), put64(data + i + 8, at + i / SECTOR);
		write_block(at, data);
	}
}
static void read_hex(uint64_t sector, uint64_t count) {
	printf("{\"data\": \"");
	for (uint64_t at = sector; at < sector + count; at += per_block) {
		int64_t block = planted("read") && at > sector ? -1 : find(at);
		const uint8_t *data = block < 0 ? origin.now + at * SECTOR : cache.now + (data_start + block * per_block) * SECTOR;
		for (uint64_t i = 0; i < block_size; i++) printf("%02x", data[i]);
	}
	printf("\"}\n");
}
static void fail(void) { lose(&cache), lose(&origin), is_open = 0, after = 0; }
static int is(const char *line, const char *name) { return !strncmp(line + 2, name, strlen(name)) && line[2 + strlen(name)] == '"'; }

static const char *change(const char *line, int n, uint64_t a, uint64_t b, uint64_t tag, int fits) {
	static char cache_path[4096], origin_path[4096];
	if (is(line, "new")) {
		n = sscanf(line, "[\"new\", \"%4095[^\"]\", \"%4095[^\"]\"]", cache_path, origin_path);
		is_open = 0, after = 0;
		return n != 2 || load(&cache, cache_path) || load(&origin, origin_path) ? "EIO" : NULL;
	}
	if (is(line, "open")) {
		if (is_open) commit();
		return open_cache(line);
	}
	if ((is(line, "write") || is(line, "write_fua")) && fits && n == 3) {
		write_pattern(a, b, tag);
		if (is(line, "write_fua") && !planted("fua")) commit();
	} else if ((is(line, "flush") || is(line, "suspend")) && is_open) {
		commit();
	} else if (is(line, "message") && is_open && strstr(line, "\"flush\"]")) {
		write_back();
	} else if (is(line, "snapshot")) {
		return save(&cache, cache_path) || save(&origin, origin_path) ? "EIO" : NULL;
	} else if (is(line, "crash") && n == 2) {
		lottery = a, after = b;
		if (!after) fail();
	} else if (!is(line, "resume") || !is_open) {
		return "EINVAL";
	}
	return NULL;
}
static void answer(const char *line) {
	uint64_t a = 0, b = 0, tag = 0, n_free = 0;
	int n = sscanf(line, "[\"%*[a-z_]\", %lu, %lu, %lu", &a, &b, &tag);
	int fits = n >= 2 && is_open && a % per_block == 0 && b % per_block == 0 && b <= origin.sectors && a <= origin.sectors - b;
	if (is(line, "hello")) {
		puts("{\"name\": \"target_c\", \"level\": 2, \"can\": [\"fua\", \"message\", \"suspend\", \"status\", \"snapshot\", \"crash\", \"crash-within\"]}");
	} else if (is(line, "read") && fits) {
		read_hex(a, b);
	} else if (is(line, "status") && is_open) {
		for (uint64_t i = 0; i < n_blocks; i++) n_free += place[i] == FREE;
		printf("{\"status\": \"0 %lu %lu 0\"}\n", n_blocks, n_free);
	} else {
		const char *errno_name = change(line, n, a, b, tag, fits);
		if (errno_name) printf("{\"errno\": \"%s\"}\n", errno_name);
		else puts("{}");
	}
}

int main(int argc, char **argv) {
	static char line[10000];
	if (argc == 3 && !strcmp(argv[1], "--plant-bug")) bug = argv[2];
	while (fgets(line, sizeof line, stdin)) {
		if (!setjmp(power)) answer(line);
		else fail(), puts("{\"crashed\": true}");
		fflush(stdout);
	}
	return 0;
}
