/*
 * The metadata block in native form: writers that follow one another, each of which may die between any two steps, and
 * a reader that may ask at any time. README.md says what is abstracted.
 */
#ifndef LIVES
#define LIVES 3                 /* writers, one after the other */
#endif
#ifndef NF
#define NF 2                    /* frames of each, at most */
#endif
#define MOST (LIVES * NF)

/* ---- shared memory ---- */
byte published;
byte taken;
bit written;
byte generation;
byte from;
byte block[2];                  /* each half holds the number of the writer that has stored it */

/* ---- ghosts ---- */
byte owner[MOST + 1];           /* whose each frame is */
bit over;

#define STEP(s) if :: atomic { s } :: atomic { true -> goto dead } fi

proctype Writer(byte own) {
  byte start, count;
  bit first;
  STEP(start = published; first = (published == 0 && !written && generation <= 1));
#ifndef NO_WAIT
  if
  :: written -> STEP(taken >= start -> skip)
  :: else -> skip
  fi;
#endif
#ifndef KEEP_WRITTEN
  STEP(written = 0);
#endif
#ifndef NO_GENERATION
  STEP(generation = generation | 1);
#endif
#ifdef HOLDS_AT_ONCE
  STEP(from = 0);
#else
  STEP(from = (first -> 0 : (start == 0 -> 1 : 2 * start)));
#endif
  STEP(block[0] = own);
  STEP(block[1] = own);
#ifndef NO_GENERATION
  STEP(generation = generation + 1);
#endif
  STEP(written = 1);
  do
  :: count < NF -> STEP(published++; owner[published] = own; count++)
  :: break
  od;
dead:
  if
  :: own < LIVES -> run Writer(own + 1)
  :: else -> over = 1
  fi
}

/* A look at the words, and a copy that is whole if they are the same after it. */
inline look() {
  w = written; g = generation; f = from;
  a = block[0];
  b = block[1];
#ifdef NO_SECOND_LOOK
  same = 1
#else
  atomic { same = (written == w && generation == g && from == f) }
#endif
}

#define HOLDS(f) ((f) == 0 || units > (f))

proctype Reader() {
  bit w, same;
  byte g, f, a, b, t;
  /* Kept: the newest copy and the one before it. */
  byte newest, newest_g, newest_f, before;
  byte units, told;                /* a frame has two units */
  do
  :: published > t ->
     /* Before frames are taken: a copy, unless there is one. */
#ifndef NO_COPY
     look();
     if
     :: same && w && (newest == 0 || newest_g != g) ->
        atomic {
          units = 2 * t;
          before = (newest != 0 && HOLDS(newest_f) -> newest : before);
          newest = a; newest_g = g; newest_f = (g % 2 == 1 -> 0 : f)
        }
     :: else -> skip
     fi;
#endif
     t++;
     taken = t
  :: told = 0;
     look();
     units = 2 * t;
     if
     :: w && (HOLDS(f) || g % 2 == 1) && same -> told = a; assert(a == b)
     :: w && (HOLDS(f) || g % 2 == 1) && !same -> told = 255                /* once more */
     :: else ->
        told = (newest != 0 && HOLDS(newest_f) -> newest : before)
     fi;
     /* With frames taken: those of the last one's writer, and of nobody else. */
     assert(told == 255 || t == 0 || told == owner[t]);
     told = 0; a = 0; b = 0; w = 0; g = 0; f = 0; same = 0; units = 0
  :: over && t == published -> break
  od
}

init {
  atomic { run Writer(1); run Reader() }
}
