// SPDX-License-Identifier: GPL-2.0-only
/*
 * A plugin of the emulator (QEMU, software emulation): logs every store to a piece of the guest's
 * memory, every fence, and every flush of a line of the processor's cache, in the order in which
 * the one processor does them.  Between these it notes what the disk's own log (blklogwrites) has
 * come to hold: one order of all.
 *
 * Only instructions of the kernel are watched.  The guest's memory is a file, which is mapped here
 * too: after a store its aligned word of 8 bytes is read from there.  The log is a file whose first
 * 64-bit number counts the records behind the header.  The second says whether anything is watched:
 * its reader writes ASKED, and waits for WATCHING; a boot is not watched, which makes it slow.  The
 * plugin interface, version 1, is declared
 * by hand as far as it is used.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_R = 1, QEMU_PLUGIN_MEM_W };
typedef void (*simple_cb_t)(qemu_plugin_id_t);
typedef void (*idle_cb_t)(qemu_plugin_id_t, unsigned int);
typedef void (*tb_trans_cb_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*exec_cb_t)(unsigned int, void *);
typedef void (*mem_cb_t)(unsigned int, qemu_plugin_meminfo_t, uint64_t, void *);

void qemu_plugin_register_vcpu_idle_cb(qemu_plugin_id_t, idle_cb_t);
void qemu_plugin_reset(qemu_plugin_id_t, simple_cb_t);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, tb_trans_cb_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, exec_cb_t,
                                            enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, mem_cb_t,
                                      enum qemu_plugin_cb_flags, enum qemu_plugin_mem_rw, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t);
unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t, uint64_t);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum kind { PLAIN = 1, NON_TEMPORAL, FENCE, FULL_FENCE, FLUSH_LINE, DISK_ENTRY };

struct record {
    uint64_t pc;
    uint64_t what; /* kind in the top byte; of a store: the word's offset in the watched memory */
    uint64_t value; /* of a store: the word after it; of a disk's entry: its sector in the log */
};

#define HEADER_BYTES 4096
#define SECTOR_BYTES 512
#define DISCARD 4
#define KERNEL_BIT (1ULL << 63)
#define PC_MASK ((1ULL << 56) - 1)

enum state { IDLE, ASKED, TAKEN, WATCHING };

static volatile uint64_t *n_records, *state;
static struct record *records;
static uint64_t most_records;
static const uint8_t *memory;
static uint64_t first_byte, n_bytes;
static const uint8_t *disk_log;
static uint64_t disk_log_bytes, disk_log_at = SECTOR_BYTES;

static void add(uint64_t pc, uint64_t what, uint64_t value)
{
    uint64_t n = *n_records;

    if (n < most_records) {
        records[n].pc = pc;
        records[n].what = what;
        records[n].value = value;
    }
    __atomic_store_n(n_records, n + 1, __ATOMIC_RELEASE); /* more than fit: the reader sees it */
}

/* Note entries that the disk's log has got since the last look. */
static void look_at_disk(void)
{
    while (disk_log_at + SECTOR_BYTES <= disk_log_bytes) {
        const volatile uint64_t *header = (const volatile uint64_t *)(disk_log + disk_log_at);
        uint64_t n_sectors = header[1], flags = header[2];

        if (!n_sectors && !flags)
            return;
        add(0, (uint64_t)DISK_ENTRY << 56, disk_log_at / SECTOR_BYTES);
        disk_log_at += SECTOR_BYTES;
        if (!(flags & DISCARD))
            disk_log_at += n_sectors * SECTOR_BYTES;
    }
}

static uint64_t pc_of(void *data)
{
    return ((uint64_t)data & PC_MASK) | (0xffULL << 56);
}

static void on_store(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    struct qemu_plugin_hwaddr *place;
    uint64_t at, end;

    if (!qemu_plugin_mem_is_store(info)) /* an instruction that does both is told of both */
        return;
    place = qemu_plugin_get_hwaddr(info, address);
    if (!place || qemu_plugin_hwaddr_is_io(place))
        return;
    at = qemu_plugin_hwaddr_phys_addr(place);
    end = at + (1ULL << qemu_plugin_mem_size_shift(info));
    if (at - first_byte >= n_bytes)
        return;
    look_at_disk();
    for (at &= ~7ULL; at < end; at += 8) {
        uint64_t word;

        memcpy(&word, memory + at, 8);
        add(pc_of(data), ((uint64_t)data & ~PC_MASK) | (at - first_byte), word);
    }
}

static void on_instruction(unsigned int cpu, void *data)
{
    look_at_disk();
    add(pc_of(data), (uint64_t)data & ~PC_MASK, 0);
}

/* What an instruction is, by its bytes: legacy prefixes, REX, then 0F and one more. */
static enum kind kind_of(const uint8_t *code, size_t size)
{
    size_t at = 0;
    bool short_operands = false;

    while (at < size && (code[at] == 0x66 || code[at] == 0xf2 || code[at] == 0xf3 ||
                         code[at] == 0x2e || code[at] == 0x3e || code[at] == 0x26 ||
                         code[at] == 0x36 || code[at] == 0x64 || code[at] == 0x65)) {
        short_operands |= code[at] == 0x66;
        at++;
    }
    if (at < size && (code[at] & 0xf0) == 0x40)
        at++;
    if (at + 2 >= size || code[at] != 0x0f)
        return PLAIN;
    switch (code[at + 1]) {
    case 0xc3: /* movnti */
    case 0x2b: /* movntps, movntpd */
    case 0xe7: /* movntq, movntdq */
        return NON_TEMPORAL;
    case 0xae: {
        uint8_t modrm = code[at + 2], op = (modrm >> 3) & 7;

        if (modrm >> 6 == 3)
            return op == 7 ? FENCE : op == 6 ? FULL_FENCE : PLAIN;
        if (op == 7 || (op == 6 && short_operands)) /* clflush, clflushopt, clwb */
            return FLUSH_LINE;
        return PLAIN;
    }
    default:
        return PLAIN;
    }
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    size_t n = qemu_plugin_tb_n_insns(tb);

    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t pc = qemu_plugin_insn_vaddr(insn);
        enum kind kind;
        void *data;

        if (!(pc & KERNEL_BIT))
            continue;
        kind = kind_of(qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn));
        data = (void *)((uint64_t)kind << 56 | (pc & PC_MASK));
        if (kind >= FENCE)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_instruction, QEMU_PLUGIN_CB_NO_REGS,
                                                   data);
        else
            qemu_plugin_register_vcpu_mem_cb(insn, on_store, QEMU_PLUGIN_CB_NO_REGS,
                                             QEMU_PLUGIN_MEM_W, data);
    }
}

static void on_reset(qemu_plugin_id_t id)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    __atomic_store_n(state, WATCHING, __ATOMIC_RELEASE);
}

/* The processor waits for an interrupt: the time to have everything translated anew. */
static void on_idle(qemu_plugin_id_t id, unsigned int cpu)
{
    if (__atomic_load_n(state, __ATOMIC_ACQUIRE) != ASKED)
        return;
    *state = TAKEN;
    qemu_plugin_reset(id, on_reset);
}

/* A whole file, mapped; NULL without one. */
static void *map_file(const char *path, int protection, uint64_t *bytes)
{
    int fd = open(path, protection & PROT_WRITE ? O_RDWR : O_RDONLY);
    struct stat found;
    void *mapped;

    if (fd < 0 || fstat(fd, &found))
        return NULL;
    *bytes = found.st_size;
    mapped = mmap(NULL, found.st_size, protection, MAP_SHARED, fd, 0);
    close(fd);
    return mapped == MAP_FAILED ? NULL : mapped;
}

/* Arguments: memory=FILE first=BYTE size=BYTES log=FILE disk=FILE. */
__attribute__((visibility("default"))) int
qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    uint8_t *log = NULL;
    uint64_t bytes, log_bytes = 0;

    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');

        if (!value)
            return -1;
        *value++ = 0;
        if (!strcmp(argv[i], "memory"))
            memory = map_file(value, PROT_READ, &bytes);
        else if (!strcmp(argv[i], "disk"))
            disk_log = map_file(value, PROT_READ, &disk_log_bytes);
        else if (!strcmp(argv[i], "log"))
            log = map_file(value, PROT_READ | PROT_WRITE, &log_bytes);
        else if (!strcmp(argv[i], "first"))
            first_byte = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "size"))
            n_bytes = strtoull(value, NULL, 10);
    }
    if (!memory || !log || !disk_log || !n_bytes) {
        fprintf(stderr, "memory log: a file is missing\n");
        return -1;
    }
    n_records = (volatile uint64_t *)log;
    state = n_records + 1;
    records = (struct record *)(log + HEADER_BYTES);
    most_records = (log_bytes - HEADER_BYTES) / sizeof(struct record);
    qemu_plugin_register_vcpu_idle_cb(id, on_idle);
    return 0;
}
