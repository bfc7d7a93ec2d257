/*
 * Who wakes a future: an endpoint's task, which also makes blocked calls, its peer that posts, and
 * the thread that sleeps for the futures of the process. No wait has a time-out: a lost wake-up is a
 * process that never ends.
 */
#ifndef NF
#define NF 3                    /* frames */
#endif
#ifndef CANCELS
#define CANCELS 1               /* futures that are dropped while they wait */
#endif
#ifndef BLOCKED
#define BLOCKED 1               /* calls that block */
#endif
#ifndef TURNS
#define TURNS 1                 /* polls of each wait that look, and arm nothing */
#endif

/* ---- shared memory: the position, and the two halves of the semaphore ---- */
byte published;
byte value;
short sleepers;

/* ---- of the process: the entry, and the thread's own word ---- */
bit waker;
bit armed;
bit included;
bit member;
bit changed;
byte control;
bit locked;                     /* the lock of the waker's place */

/* ---- the kernel's: who sleeps on what ---- */
bit asleep;                     /* the thread, on its own word ... */
bit on_word;                    /* ... and on the semaphore, until it runs again */
bit blocked;                    /* the task, in a blocked call on the semaphore */

/* ---- the executor's ---- */
bit woken;

bit over;

#define LOCK atomic { !locked -> locked = 1 }
#define UNLOCK locked = 0

/* One post wakes one sleeper of the word, whichever. */
inline wake_one() {
  atomic {
    if
    :: on_word -> asleep = 0; on_word = 0
    :: blocked -> blocked = 0
    :: !on_word && !blocked -> skip
    fi
  }
}

active proctype Peer() {
  short before;
  do
  :: published < NF ->
     published++;
     atomic { before = sleepers; value++ };
     if
     :: before > 0 -> wake_one()
     :: else -> skip
     fi
  :: else -> break
  od
}

inline wake_thread() {
  atomic { if :: asleep -> asleep = 0 :: else -> skip fi }
}

inline arm() {
#ifdef BUMP_FIRST
  control++;
#endif
  LOCK;
  if
  :: !waker ->
     waker = 1;
     armed = 1;
#ifndef NO_SLEEPER
     sleepers++;
#endif
     UNLOCK;
#if !defined(BUMP_FIRST) && !defined(NO_BUMP)
     control++;
#endif
#ifndef NO_CALL
     if
     :: !included -> wake_thread()
     :: else -> skip
     fi
#endif
  :: else -> UNLOCK
  fi
}

inline disarm() {
  LOCK;
  if
  :: waker -> waker = 0; armed = 0; sleepers--
  :: else -> skip
  fi;
  UNLOCK
}

active proctype Task() {
  byte taken, cancels, calls, found, turns;
  do
  :: taken == NF -> break
  :: taken < NF && calls < BLOCKED ->
     /* A blocked call: it takes the entry off the thread, and sleeps by itself. */
     calls++;
     disarm();
     atomic { member = 0; changed = 1 };
     control++;
     wake_thread();
     do
     :: value = 0;
        found = published;
        if
        :: found > taken -> taken = found; break
        :: else -> skip
        fi;
        sleepers++;
        atomic { if :: value == 0 -> blocked = 1 :: else -> skip fi };
        atomic { !blocked -> sleepers-- }
     od
  :: taken < NF ->
     /* A future. */
     if
     :: !member -> atomic { member = 1; changed = 1; included = 0 }
     :: else -> skip
     fi;
     turns = 0;
     do
     :: turns < TURNS ->
        /* A turn of its spin: it looks, and has itself polled again. */
        turns++;
        found = published;
        if
        :: found > taken -> turns = TURNS
        :: else ->
#ifndef NO_TURN
           woken = 1;
#endif
           if
           :: woken -> woken = 0
           :: cancels < CANCELS -> cancels++; break
           fi
        fi
     ::
#ifdef LOOK_FIRST
        found = published;
        value = 0;
        arm();
#else
        arm();
        value = 0;
        found = published;
#endif
        if
        :: found > taken -> disarm(); taken = found; woken = 0; break
        :: else -> skip
        fi;
        if
        :: woken -> woken = 0
        :: cancels < CANCELS -> cancels++; disarm(); break
        fi
     od
  od;
  disarm();
  over = 1
}

active proctype Thread() {
  byte c, v;
  bit a, m, i, all;
end_top:
  do
  :: atomic { c = control; i = 0; v = 0 };
     atomic { if :: changed -> changed = 0; all = 1 :: else -> all = 0 fi };
     if
     :: all ->
#ifndef NO_PASS_ON
        /* What was woken for who has gone is handed on. */
        if
        :: m && !armed && value > 0 && sleepers > 0 -> wake_one()
        :: else -> skip
        fi;
#endif
        m = member
     :: else -> skip
     fi;
     if
     :: m ->
        v = value;
        a = armed;
        if
        :: a && v > 0 ->
           LOCK;
           if
           :: waker -> waker = 0; armed = 0; sleepers--; woken = 1
           :: else -> skip
           fi;
           UNLOCK;
           a = armed
        :: !a ->
#ifndef NO_PASS_ON
           if
           :: value > 0 && sleepers > 0 && !armed -> wake_one()
           :: else -> skip
           fi
#else
           skip
#endif
        :: else -> skip
        fi;
        /* An entry for which nobody waits may be left out. */
        if
        :: i = 1
        :: !a -> i = 0
        fi;
        included = i
     :: else -> skip
     fi;
     /* The kernel compares and falls asleep in one step. */
     atomic {
       if
       :: control == c && (!i || value == v) -> asleep = 1; on_word = i
       :: else -> skip
       fi
     };
end_asleep:
     atomic { !asleep -> on_word = 0 }
  od
}
