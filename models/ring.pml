/*
 * One buffer: control block, both semaphores, presence byte, a reader of ours, the application that
 * releases its frames, and the writers that follow one another. README.md says what is abstracted.
 *
 * Units: a ring of P units, headers of H units; a tail shorter than H is a sliver (1..15 bytes on the wire).
 */
#ifndef P
#define P 8
#endif
#define H 2
#ifndef NF
#define NF 3                    /* frames published in all */
#endif
#ifndef T1                      /* the totals (header + data) a frame may have */
#define T1 3
#endif
#ifndef T2
#define T2 4
#endif
#ifndef T3
#define T3 5
#endif
#ifndef T4
#define T4 8
#endif
#ifndef CRASHES
#define CRASHES 0               /* writer crashes in the run */
#endif
#ifndef LIVES
#define LIVES 1                 /* writers of ours that may follow one another */
#endif
#ifndef ABORTS
#define ABORTS 0                /* loans dropped without commit */
#endif
#define SLOTS 5                 /* outstanding regions that fit into the ring */
#define POSTS 2                 /* sem-r is posted only while its value is below this (W5) */

#define OLD 5                   /* pid of the writer of another implementation */
#define TOMBSTONE 7             /* a pid that exists for no peer */
#define WRITER 1                /* holders of the writer's presence byte */
#define REPAIR 2
#define UNPUBLISHED (P + 1)      /* the total of a header at 0 until its frame is committed: no chain goes through it */
#define TAG 16                  /* data cells hold TAG + attempt: never a plausible header */

/* ---- shared memory ---- */
byte cell[P];                   /* a frame: [total, sequence, tag...]; a marker: [0, 0] */
byte free_ = P;
byte write_pos;
byte read_pos;                  /* also the reader's private position */
byte writer_pid;
bit reader_pid = 1;
byte sem_w;
byte sem_r;

/* ---- kernel ---- */
byte byte1;                     /* who holds the writer's presence byte; freed by death */
bit reader_alive = 1;
bit old_alive;                  /* an old writer is seen by its pid only */
bit in_flight;                  /* an old writer's stores are visible in part */

/* ---- reader-private, shared by its threads ---- */
bit credit_lock;
byte held;                      /* outstanding bytes in the FIFO */
byte slots;
byte slot_size[SLOTS];
byte slot_at[SLOTS];
bit slot_released[SLOTS];
#ifdef SINGLE_RECORD
byte record;
#endif
bit reader_done;

/* ---- ghosts: what the properties are about; no process decides by them ---- */
int occupied;                   /* units of published regions not yet given back */
byte published;
byte delivered;
byte tag_of[NF + 1];
byte attempt;
bit writers_done;
byte crashes = CRASHES;
byte aborts = ABORTS;

hidden byte i_;
hidden byte pos_;
hidden byte sum_;
hidden byte seq_;
hidden byte last_;
hidden byte ok_;

#define MASK(at, n) (((1 << (n)) - 1) << (at))
#define DEAD(p) ((p) != 0 && byte1 != WRITER && !((p) == OLD && old_alive))

/* A slice ends only where W5 relies on it, so that every other lost wake-up is a deadlock. */
#ifdef OLD_WRITER
#define READER_SLICE (DEAD(writer_pid) || writer_pid == 0 || writer_pid != p || (old_alive && !in_flight && write_pos % P != read_pos))
#else
#define READER_SLICE (CRASHES > 0 && byte1 != WRITER)
#endif
#define WRITER_SLICE (!reader_alive)

inline fill(at, n, value) {
  d_step {
    assert((occupied & MASK(at, n)) == 0);      /* nothing unread or held is ever overwritten */
    i_ = at;
    do
    :: i_ < at + n -> cell[i_] = value; i_++
    :: else -> break
    od;
    i_ = 0
  }
}

inline put_header(at, t, s) {
  d_step {
    assert((occupied & MASK(at, H)) == 0);
    cell[at] = t; cell[at + 1] = s
  }
}

/* The header of a loan: at 0, where a successor's walk begins, it does not look like a published one. */
inline put_open_header(at, t, s) {
  put_header(at, t, s);
#ifndef PUBLISHED_HEADER
  if
  :: at == 0 -> cell[0] = UNPUBLISHED
  :: else -> skip
  fi
#endif
}

inline publish_ghost(mask) {
  d_step {
    assert((occupied & (mask)) == 0);
    occupied = occupied | (mask);
    published++;
    tag_of[published] = tag
  }
}

/* Does the chain of frames from `from` to `to` hold consecutive sequences? ok_ the next sequence in seq_, the last total (0: a wrap) in last_. */
inline chain(from, span, to) {
  pos_ = from; sum_ = 0; ok_ = 1; last_ = 0;
  do
  :: sum_ < span && ok_ ->
     if
     :: P - pos_ < H || cell[pos_] == 0 -> sum_ = sum_ + P - pos_; pos_ = 0; last_ = 0
     :: else ->
        if
        :: cell[pos_] > P - pos_ || cell[pos_] <= H || (seq_ != 0 && cell[pos_ + 1] != seq_) -> ok_ = 0
        :: else -> seq_ = cell[pos_ + 1] + 1; last_ = cell[pos_]; sum_ = sum_ + last_; pos_ = (pos_ + cell[pos_]) % P
        fi
     fi
  :: else -> break
  od;
  ok_ = ok_ && sum_ == span && pos_ == to;
  pos_ = 0; sum_ = 0
}

/* W9: the sequence a successor continues with. */
inline recover_sequence() {
  d_step {
    w = write_pos % P; seq_ = 0;
    if
    :: w != read_pos -> chain(read_pos, (w + P - read_pos) % P, w)
    :: w == read_pos && free_ == 0 -> chain(read_pos, P, w)
    :: else -> skip
    fi;
    touched = (cell[0] == UNPUBLISHED);         /* a predecessor's loan binds its successor */
    if
    :: !ok_ || seq_ == 0 ->
       seq_ = 0;
       if
       :: touched -> seq_ = cell[1]
       :: else ->                               /* nothing unread but a wrap: the lap before it; nothing at all: this lap */
          i_ = (w != read_pos -> read_pos : (w != 0 -> w : P));
          chain(0, i_, i_ % P);
          i_ = 0;
          if
          :: !ok_ || seq_ == 0 -> seq_ = (cell[0] == 0 || cell[0] > P -> 1 : cell[1])
          :: else -> skip
          fi
       fi
    :: else -> skip
    fi;
    seq = seq_;
    seq_ = 0; ok_ = 0; last_ = 0
  }
}

/* Under the credit lock: n units go back to the writer. */
inline credit(n) {
#ifdef CHECK_FIRST
  v = sem_r;                                    /* known bad: what a missing fence allows */
#endif
#ifdef HELD_FIRST
  held = held - n;
#endif
  d_step {
#ifndef OLD_WRITER
    assert(free_ + n <= P);
#endif
    free_ = free_ + n;
#ifndef LOCKLESS_LOOK
    held = held - n                             /* one moment for all who take the lock */
#endif
  };
#if defined(LOCKLESS_LOOK) && !defined(HELD_FIRST)
  held = held - n;
#endif
#ifndef CHECK_FIRST
  v = sem_r;
#endif
  if
  :: v < POSTS -> sem_r++
  :: else -> skip
  fi;
  v = 0
}

inline push(at, n, released) {
  assert(slots < SLOTS);
  slot_at[slots] = at; slot_size[slots] = n; slot_released[slots] = released;
  slots++
}

inline pop_released() {
  n = 0;
  do
  :: slots > 0 && slot_released[0] ->
     n = n + slot_size[0];
     i_ = 0;
     do
     :: i_ + 1 < slots ->
        slot_size[i_] = slot_size[i_ + 1]; slot_at[i_] = slot_at[i_ + 1]; slot_released[i_] = slot_released[i_ + 1];
        i_++
     :: else -> break
     od;
     slots--;
     slot_size[slots] = 0; slot_at[slots] = 0; slot_released[slots] = 0;
     i_ = 0
  :: else -> break
  od
}

#include "writer.pml"
#include "reader.pml"
#ifdef OLD_WRITER
#include "old_writer.pml"
#endif

init {
  atomic {
#ifdef OLD_WRITER
    writer_pid = OLD; old_alive = 1;
    run OldWriter();
#else
    writer_pid = 1; byte1 = WRITER;
    run Writer(1, 1);
#endif
    run Reader();
    run Application()
  };
  /* Every process ends: a lost wake-up is an invalid end state here. */
  (_nr_pr == 1);
#if !defined(READER_CLOSE) && !defined(READER_CRASH)
  d_step {
    assert(delivered == published);             /* each published frame, once (order: Reader) */
    assert(held == 0 && slots == 0);
    assert(free_ == P);                         /* no unit is lost for good */
    assert(write_pos % P == read_pos);
    assert(occupied == 0)
  }
#endif
}
