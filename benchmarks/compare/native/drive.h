/* What the two ends do with a system: stream, answer, ask. As src/ends/drive.rs, in C and C++.
 *
 * Who includes this has before it a `receiver` and a `sender`, and what to do with them. */
#ifndef DRIVE_H
#define DRIVE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const uint64_t BEGIN = UINT64_MAX - 1, END = UINT64_MAX;
/* Before anything is measured, as a share of what is. */
static const double WARM_UP = 0.1;
/* Bytes sent between two looks at the clock. */
static const size_t CLOCK_EVERY = 64 << 10;
static const size_t MAX_SAMPLES = 1 << 20;

typedef struct task {
    const char *kind, *name;
    size_t bytes, depth;
    double seconds;
    const char *touch;
} task;

/* Each ends the program if it fails. */
static void open_receiver(receiver *end, const char *name, const task *task);
/* Waits for the next frame. */
static const unsigned char *receive_frame(receiver *end);
static void release_frame(receiver *end);
static void close_receiver(receiver *end);
static void open_sender(sender *end, const char *name, const task *task);
static void send_copy(sender *end, const void *data, size_t size);
static void *begin_loan(sender *end, size_t size);
static void commit_loan(sender *end, size_t size);
static void close_sender(sender *end);

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static uint64_t monotonic_ns(void) { return read_clock(CLOCK_MONOTONIC); }
static double cpu_seconds(void) { return (double)read_clock(CLOCK_PROCESS_CPUTIME_ID) / 1e9; }

static uint64_t word(const unsigned char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static volatile uint64_t sink;

/* Reads the frame as the task says, and returns its number. */
static uint64_t look(const unsigned char *frame, size_t bytes, char touch)
{
    uint64_t sum = 0;
    size_t step = touch == 'a' ? 8 : 64;
    if (touch != 'h') {
        for (size_t at = 0; at + 8 <= bytes; at += step)
            sum ^= word(frame + at);
        sink = sum;
    }
    return word(frame);
}

/* Bytes that no system can guess or compress. */
static unsigned char *content(size_t bytes)
{
    uint64_t state = UINT64_C(0x9E3779B97F4A7C15);
    unsigned char *made = (unsigned char *)malloc(bytes);
    for (size_t at = 0; made && at < bytes; at++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        made[at] = (unsigned char)state;
    }
    if (!made)
        fail("no memory");
    return made;
}

/* Stays until the supervisor has looked at this process. */
static void finish(void)
{
    fflush(stdout);
    while (getchar() != '\n' && !feof(stdin))
        ;
}

static void receive(const task *task)
{
    receiver end;
    uint64_t expected = 0, first = 0, start = 0;
    double cpu = 0;
    /* What was never written is not worth reading: a loaned frame has 8 bytes. */
    char touch = strcmp(task->kind, "loan") == 0 ? 'h' : task->touch[0];
    open_receiver(&end, task->name, task);
    puts("ready");
    fflush(stdout);
    for (;;) {
        uint64_t number = look(receive_frame(&end), task->bytes, touch);
        release_frame(&end);
        if (number == expected) {
            expected++;
        } else if (number == BEGIN) {
            start = monotonic_ns();
            cpu = cpu_seconds();
            first = expected;
        } else if (number == END && start) {
            break;
        } else {
            fail("another frame was expected");
        }
    }
    printf("{\"frames\": %llu, \"seconds\": %.9f, \"cpu\": %.9f}\n", (unsigned long long)(expected - first),
           (double)(monotonic_ns() - start) / 1e9, cpu_seconds() - cpu);
    finish();
    close_receiver(&end);
}

typedef struct stream {
    sender end;
    unsigned char *frame;
    uint64_t number;
    int loan;
} stream;

static void put(stream *stream, const task *task)
{
    if (stream->loan) {
        memcpy(begin_loan(&stream->end, task->bytes), &stream->number, sizeof stream->number);
        commit_loan(&stream->end, task->bytes);
    } else {
        memcpy(stream->frame, &stream->number, sizeof stream->number);
        send_copy(&stream->end, stream->frame, task->bytes);
    }
    stream->number++;
}

static void put_for(stream *stream, const task *task, double seconds)
{
    uint64_t until = monotonic_ns() + (uint64_t)(seconds * 1e9);
    size_t every = CLOCK_EVERY / task->bytes ? CLOCK_EVERY / task->bytes : 1;
    while (monotonic_ns() < until)
        for (size_t count = 0; count < every; count++)
            put(stream, task);
}

static void send_mark(sender *end, const task *task, uint64_t number)
{
    unsigned char *frame = (unsigned char *)calloc(task->bytes, 1);
    if (!frame)
        fail("no memory");
    memcpy(frame, &number, sizeof number);
    send_copy(end, frame, task->bytes);
    free(frame);
}

static void transmit(const task *task)
{
    stream stream;
    /* As for the other ends, after the first frame. */
    struct timespec settle = {0, 20000000};
    stream.frame = content(task->bytes);
    stream.number = 0;
    stream.loan = strcmp(task->kind, "loan") == 0;
    open_sender(&stream.end, task->name, task);
    put(&stream, task);
    nanosleep(&settle, NULL);
    put_for(&stream, task, task->seconds * WARM_UP);
    send_mark(&stream.end, task, BEGIN);
    double cpu = cpu_seconds();
    put_for(&stream, task, task->seconds);
    cpu = cpu_seconds() - cpu;
    send_mark(&stream.end, task, END);
    printf("{\"cpu\": %.9f}\n", cpu);
    finish();
    close_sender(&stream.end);
    free(stream.frame);
}

static const char *direction(const task *task, const char *which)
{
    static char names[2][256];
    char *name = names[which[0] == 'b'];
    snprintf(name, sizeof names[0], "%s-%s", task->name, which);
    return name;
}

static void answer(const task *task)
{
    receiver requests;
    sender answers;
    uint64_t number = 0;
    double cpu = 0;
    open_receiver(&requests, direction(task, "there"), task);
    puts("ready");
    fflush(stdout);
    open_sender(&answers, direction(task, "back"), task);
    while (number != END) {
        const unsigned char *frame = receive_frame(&requests);
        send_copy(&answers, frame, task->bytes);
        number = word(frame);
        release_frame(&requests);
        if (number == BEGIN)
            cpu = cpu_seconds();
    }
    printf("{\"cpu\": %.9f}\n", cpu_seconds() - cpu);
    finish();
    close_sender(&answers);
    close_receiver(&requests);
}

typedef struct dialogue {
    receiver answers;
    sender requests;
    unsigned char *frame;
    uint32_t *times;
    size_t count;
} dialogue;

static void ask_once(dialogue *dialogue, const task *task, uint64_t number)
{
    memcpy(dialogue->frame, &number, sizeof number);
    send_copy(&dialogue->requests, dialogue->frame, task->bytes);
    if (look(receive_frame(&dialogue->answers), task->bytes, task->touch[0]) != number)
        fail("the answer is another one");
    release_frame(&dialogue->answers);
}

static void ask_for(dialogue *dialogue, const task *task, double seconds)
{
    uint64_t last = monotonic_ns(), until = last + (uint64_t)(seconds * 1e9);
    for (dialogue->count = 0; last < until && dialogue->count < MAX_SAMPLES; dialogue->count++) {
        ask_once(dialogue, task, dialogue->count);
        /* The end of one round is the start of the next. */
        uint64_t now = monotonic_ns(), time = now - last;
        dialogue->times[dialogue->count] = (uint32_t)(time < UINT32_MAX ? time : UINT32_MAX);
        last = now;
    }
}

static int is_less(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static void print_rank(const dialogue *dialogue, const char *name, double share)
{
    size_t rank = (size_t)((double)dialogue->count * share);
    rank += (double)rank < (double)dialogue->count * share;
    printf(", \"%s\": %.3f", name, dialogue->times[rank ? rank - 1 : 0] / 1e3);
}

static void ask(const task *task)
{
    dialogue dialogue;
    open_receiver(&dialogue.answers, direction(task, "back"), task);
    open_sender(&dialogue.requests, direction(task, "there"), task);
    dialogue.frame = content(task->bytes);
    dialogue.times = (uint32_t *)calloc(MAX_SAMPLES, sizeof *dialogue.times);
    if (!dialogue.times)
        fail("no memory");
    ask_for(&dialogue, task, task->seconds * WARM_UP);
    ask_once(&dialogue, task, BEGIN);
    double cpu = cpu_seconds();
    ask_for(&dialogue, task, task->seconds);
    cpu = cpu_seconds() - cpu;
    ask_once(&dialogue, task, END);
    qsort(dialogue.times, dialogue.count, sizeof *dialogue.times, is_less);
    printf("{\"frames\": %llu, \"cpu\": %.9f", (unsigned long long)dialogue.count, cpu);
    print_rank(&dialogue, "p50", 0.5);
    print_rank(&dialogue, "p90", 0.9);
    print_rank(&dialogue, "p99", 0.99);
    print_rank(&dialogue, "p999", 0.999);
    puts("}");
    finish();
    close_sender(&dialogue.requests);
    close_receiver(&dialogue.answers);
    free(dialogue.frame);
    free(dialogue.times);
}

/* `SYSTEM ROLE KIND NAME BYTES DEPTH SECONDS TOUCH`, as for the other ends. */
static int drive(int count, char **words)
{
    if (count != 9)
        fail("SYSTEM ROLE KIND NAME BYTES DEPTH SECONDS TOUCH");
    task task;
    task.kind = words[3];
    task.name = words[4];
    task.bytes = strtoull(words[5], NULL, 10);
    task.depth = strtoull(words[6], NULL, 10);
    task.seconds = strtod(words[7], NULL);
    task.touch = words[8];
    int is_server = strcmp(words[2], "server") == 0;
    if (strcmp(task.kind, "trip") == 0)
        (is_server ? answer : ask)(&task);
    else if (strcmp(task.kind, "stream") == 0 || strcmp(task.kind, "loan") == 0)
        (is_server ? receive : transmit)(&task);
    else
        fail("no such kind");
    return 0;
}

#endif
