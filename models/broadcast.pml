/*
 * The metadata of a broadcast: the thread that writes, the thread that finds subscribers, and subscribers that come,
 * read and go as they like. README.md says what is abstracted.
 */
#define SEATS 2                 /* subscribers */
#ifndef OPS
#define OPS 4                   /* frames, and changes of the metadata */
#endif
#ifndef KINDS
#define KINDS 2                 /* metadata, one after the other; 0 is none */
#endif
#define ROOM 2                  /* frames in a ring */

/* ---- what both threads share ---- */
bit list_lock;
bit listed[SEATS];
byte metadata;                  /* of the list */
byte version = 1;

/* ---- one seat each ---- */
bit seat_lock[SEATS];
byte due[SEATS];                /* metadata that are still to be set; 0: none */

/* ---- one buffer each ---- */
bit came[SEATS];
bit left[SEATS];
byte block[SEATS];
byte from[SEATS];               /* frames before this one have the metadata before */
byte published[SEATS];
byte taken[SEATS];

/* ---- ghosts ---- */
byte of_frame[SEATS * (OPS + 1)];       /* what was in force when it was written */
bit joined[SEATS];
bit over;
bit quiet;

#define LOCK(l) atomic { !l -> l = 1 }
#define UNLOCK(l) l = 0

/* Sets metadata that are due, unless frames with others are unread. With the seat's lock. */
inline settle(s) {
  atomic {
    if
#ifdef NO_WAIT
    :: due[s] != 0 ->
#else
    :: due[s] != 0 && taken[s] == published[s] ->
#endif
       block[s] = due[s]; from[s] = published[s]; due[s] = 0
    :: else -> skip
    fi
  }
}

/* The seats, if the list has another version. */
inline refresh() {
  if
  :: seen != version ->
     LOCK(list_lock);
#ifndef VERSION_AFTER
     seen = version;
#endif
     atomic { s = 0; do :: s < SEATS -> has[s] = listed[s]; s++ :: else -> break od }
     UNLOCK(list_lock);
#ifdef VERSION_AFTER
     seen = version
#else
     skip
#endif
  :: else -> skip
  fi
}

inline remove(s) {
  LOCK(list_lock);
  atomic { version = (listed[s] -> version + 1 : version); listed[s] = 0 };
  UNLOCK(list_lock)
}

proctype Broadcaster() {
  byte seen, ops, s, now;
  bit has[SEATS];
  bit gone;
  do
  :: ops < OPS && metadata < KINDS ->
     /* Other metadata. */
     ops++;
     now++;
#ifdef LIST_LAST
     refresh();
#endif
     LOCK(list_lock);
     metadata = now;
     UNLOCK(list_lock);
#ifndef LIST_LAST
     refresh();
#endif
     s = 0;
     do
     :: s < SEATS && has[s] ->
        LOCK(seat_lock[s]);
        due[s] = now;
        settle(s);
        UNLOCK(seat_lock[s]);
        s++
     :: s < SEATS && !has[s] -> s++
     :: s == SEATS -> break
     od;
     seen = 0
  :: ops < OPS ->
     /* A frame. */
     ops++;
     refresh();
     s = 0;
     do
     :: s < SEATS && has[s] ->
        LOCK(seat_lock[s]);
        settle(s);
        atomic {
          gone = left[s];
          if
#ifdef WRITE_ANYWAY
          :: !gone && published[s] - taken[s] < ROOM ->
#else
          :: !gone && due[s] == 0 && published[s] - taken[s] < ROOM ->
#endif
             published[s]++;
             of_frame[s * (OPS + 1) + published[s]] = now
          :: else -> skip               /* it misses the frame */
          fi
        };
        UNLOCK(seat_lock[s]);
        if
        :: gone -> remove(s)
        :: else -> skip
        fi;
        s++
     :: s < SEATS && !has[s] -> s++
     :: s == SEATS -> break
     od
  :: break
  od;
  over = 1;
  quiet -> refresh();
  /* It has everybody. */
  atomic { s = 0; do :: s < SEATS -> assert(has[s] == listed[s]); s++ :: else -> break od }
}

#define NOTHING_DUE(s) (left[s] || (joined[s] && due[s] == 0 && taken[s] == published[s]))

/* One that has come. */
inline admit(n) {
#ifdef ADMIT_READS_FIRST
  found = metadata;
  LOCK(list_lock);
#else
  LOCK(list_lock);
  found = metadata;
#endif
  if
  :: found != 0 ->
     LOCK(seat_lock[n]);
     due[n] = found;
     settle(n);
     UNLOCK(seat_lock[n])
  :: else -> skip
  fi;
  atomic { listed[n] = 1; joined[n] = 1 };
  version++;
  UNLOCK(list_lock)
}

/* Once more, for the lock of the seat is only tried. */
inline settle_late(n) {
  atomic { listed[n] && due[n] != 0 && taken[n] == published[n] && !seat_lock[n] -> seat_lock[n] = 1 };
  settle(n);
  UNLOCK(seat_lock[n])
}

proctype Finder() {
  byte found;
  do
  :: came[0] && !joined[0] -> admit(0)
  :: came[1] && !joined[1] -> admit(1)
#ifndef NO_SETTLE
  :: settle_late(0)
  :: settle_late(1)
#endif
  :: listed[0] && left[0] -> remove(0)
  :: listed[1] && left[1] -> remove(1)
  :: over && NOTHING_DUE(0) && NOTHING_DUE(1) -> break
  od;
  /* Each has the last metadata, also without a frame behind them. */
  assert(left[0] || block[0] == metadata);
  assert(left[1] || block[1] == metadata);
  quiet = 1
}

proctype Subscriber(byte s) {
  byte shown;
  came[s] = 1;
  do
  :: atomic {
       published[s] > taken[s] ->
       taken[s]++;
       shown = (taken[s] > from[s] -> block[s] : shown);
       /* Each frame is seen with the metadata that were in force when it was written. */
       assert(shown == of_frame[s * (OPS + 1) + taken[s]])
     }
#ifdef LEAVES
  :: left[s] = 1 -> break
#endif
  :: quiet -> break
  od
}

init {
  atomic { run Broadcaster(); run Finder(); run Subscriber(0); run Subscriber(1) }
}
