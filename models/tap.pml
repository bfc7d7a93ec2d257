/*
 * A tap beside a stream in native form: it copies one frame by the steps of PROTOCOL.md §12, and
 * what it takes for whole is whole. README.md says what is abstracted.
 *
 * Units: a ring of P units; a frame takes whole units, its header lies in the first one. The reader
 * is the writer's choice: bytes of the stream are given back at any time.
 */
#ifndef P
#define P 3
#endif
#ifndef S
#define S 3                     /* entries of a table; 16 on the wire */
#endif
#ifndef NF
#define NF 4                    /* frames published in all */
#endif
#ifndef T2
#define T2 2                    /* totals: 1 and this */
#endif
#ifndef ABORTS
#define ABORTS 0                /* loans dropped without commit */
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef LEGACY
#define LEGACY 0                /* times that a writer of another implementation fills the ring */
#endif
#define KEPT (S - 2)

/* ---- shared memory ---- */
byte form = 1;
byte published;
byte last;
byte jumps;
byte at_[S];
byte to_[S];
byte claims;
byte abs_[S];
byte start_[S];
byte end_[S];
byte size_[P];
byte num_[P];
byte data_[P];

/* ---- ghosts ---- */
byte frames;
byte total_of[NF + 1];
byte begin_of[NF + 1];
byte end_of_writers;

byte aborts = ABORTS;
byte deaths = DEATHS;
byte legacy = LEGACY;

#define FREE(u) (bytes[u] <= credited)

proctype Writer() {
  byte p, credited, pos, window, j, first, q, total, place, room, i, filled;
  byte bytes[P];                /* 1 + the stream byte that lies in each unit */

next:
  if
  :: frames == NF -> goto done
  :: frames < NF && legacy > 0 -> atomic { legacy--; credited = p; window = 0 }; goto other
  :: frames < NF -> skip
  fi;
  atomic { total = 0; place = P; room = 0; filled = 0 };
  /* What the reader has given back. */
  do
  :: credited < p -> credited++
  :: break
  od;
  atomic {
    do
    :: first < j && at_[(first + 1) % S] <= credited -> first++
    :: else -> break
    od
  };
  if
  :: total = 1
  :: total = T2
  fi;
  if
  :: total <= window -> atomic { place = pos; room = window - total }; goto fill
  :: else -> skip
  fi;
  /* Any free place; another one than the position takes a jump. */
  i = 0;
  do
  :: i + total <= P && place == P &&
     FREE(i) && (total < 2 || FREE(i + 1)) && (total < 3 || FREE(i + 2)) &&
     (i == pos || j - first < S - 1) -> place = i
  :: i + total < P && place == P -> i++
  :: i + total >= P || place < P -> break
  od;
  if
  :: place == P ->
     /* Nothing is free: the reader gives all back. */
     credited = p; goto next
  :: else -> skip
  fi;
  do
  :: place + total + room < P && FREE(place + total + room) -> room++
  :: break
  od;
#ifdef CLAIM_LATE
  goto fill;
claim:
#endif
#ifdef COUNT_FIRST
  claims = q + 1;
#endif
#ifdef EARLY_ABS
  abs_[(q + 1) % S] = last;
#else
  abs_[(q + 1) % S] = p;
#endif
  start_[(q + 1) % S] = place;
#ifdef SHORT_CLAIM
  end_[(q + 1) % S] = place + total;
#else
  end_[(q + 1) % S] = place + total + room;
#endif
  claims = q + 1;
  q++;
#ifdef CLAIM_LATE
  goto publish;
#endif

fill:
  /* The units in any order; the header lies in the first one. */
  do
  :: !(filled & 1) -> size_[place] = total; num_[place] = frames + 1;
     atomic { data_[place] = frames + 1; filled = filled | 1 }
  :: total > 1 && !(filled & 2) -> atomic { data_[place + 1] = frames + 1; filled = filled | 2 }
  :: total > 2 && !(filled & 4) -> atomic { data_[place + 2] = frames + 1; filled = filled | 4 }
  :: filled == (1 << total) - 1 -> break
  :: deaths > 0 -> deaths--; goto die
  od;
#ifdef CLAIM_LATE
  if
  :: place != pos || window < total -> goto claim
  :: else -> skip
  fi;
#endif
publish:
  if
  :: aborts > 0 -> aborts--; goto next
  :: skip
  fi;
#ifdef PUBLISH_FIRST
  atomic { published = p + total; frames++; total_of[frames] = total; begin_of[frames] = p };
#endif
  if
  :: place != pos ->
     at_[(j + 1) % S] = p;
     to_[(j + 1) % S] = place;
     jumps = j + 1;
     j++;
     if
     :: deaths > 0 -> deaths--; goto die
     :: skip
     fi
  :: else -> skip
  fi;
  last = p;
  if
  :: deaths > 0 -> deaths--; goto die
  :: skip
  fi;
  atomic {
#ifndef PUBLISH_FIRST
    published = p + total;
    frames++;
    total_of[frames] = total;
    begin_of[frames] = p;
#endif
    i = 0;
    do
    :: i < total -> bytes[place + i] = p + i + 1; i++
    :: else -> break
    od;
    p = p + total; pos = place + total; window = room; i = 0
  };
  goto next;

die:
  /* A successor takes over what it finds. */
  skip;
  atomic { j = jumps; q = claims; window = 0 };
  if
  :: j > 0 && at_[j % S] == p -> j--; jumps = j
  :: else -> skip
  fi;
  pos = to_[j % S] + p - at_[j % S];
  goto next;

other:
  form = form + 1;
  i = 0;
  do
  :: i < P -> size_[i] = 1; num_[i] = 0; data_[i] = 0; i++
  :: else -> break
  od;
#ifndef NO_ENTRY_CLAIM
  if
  :: p > 0 ->
     abs_[(q + 1) % S] = p; start_[(q + 1) % S] = 0; end_[(q + 1) % S] = P; claims = q + 1; q++
  :: else -> skip
  fi;
#endif
  form = form + 1;
  i = 0;
  goto next;

done:
  end_of_writers = 1
}

proctype Tap() {
  byte f, x, p, j1, j2, e, o, n, m, bound, q1, q2, u;
  bit good, whole, reached;
  byte at[S], to[S], abs[S], from[S], till[S];

  f = form;
  if
  :: f % 2 == 0 -> goto out
  :: else -> skip
  fi;
#ifdef STALE_JUMPS
  j1 = jumps;
#endif
  /* The newest frame, or one that it knows to be the next. */
  if
  :: x = last
  :: atomic { frames > 0 -> e = 1;
       do
       :: e < frames -> e++
       :: break
       od;
       x = begin_of[e] }
  fi;
#ifdef UNPUBLISHED
  p = x + P;
#else
  p = published;
#endif
  if
  :: x >= p || p - x > P -> goto out
  :: else -> skip
  fi;
#ifndef STALE_JUMPS
  j1 = jumps;
#endif
  e = 0;
  do
  :: e < S -> atomic { at[e] = at_[e]; to[e] = to_[e]; e++ }
  :: else -> break
  od;
  j2 = jumps;
  d_step {
    bound = p; reached = 0;
    e = (j1 < j2 -> j1 : j2);
    o = (j2 > KEPT -> j2 - KEPT : 0);
    do
    :: at[e % S] <= x -> reached = 1; o = to[e % S] + x - at[e % S]; break
    :: else ->
       bound = (at[e % S] < bound -> at[e % S] : bound);
       if
       :: e == o -> break
       :: else -> e--
       fi
    od
  };
  if
  :: !reached || o >= P -> goto out
  :: else -> skip
  fi;
#ifdef CLAIMS_FIRST
  q1 = claims;
  e = 0;
  do
  :: e < S -> atomic { abs[e] = abs_[e]; from[e] = start_[e]; till[e] = end_[e]; e++ }
  :: else -> break
  od;
  q2 = claims;
#endif
  n = size_[o];
  m = num_[o];
  if
  :: n == 0 || o + n > P || n > bound - x -> goto out
  :: else -> skip
  fi;
  good = 1;
  u = n;
  do
  :: u > 0 -> atomic { u--; good = good && data_[o + u] == m }
  :: else -> break
  od;
#ifndef CLAIMS_FIRST
  q1 = claims;
  e = 0;
  do
  :: e < S -> atomic { abs[e] = abs_[e]; from[e] = start_[e]; till[e] = end_[e]; e++ }
  :: else -> break
  od;
#ifdef NO_CLAIMS_AGAIN
  q2 = q1;
#else
  q2 = claims;
#endif
#endif
#ifndef NO_FORM_AGAIN
  if
  :: form != f -> goto out
  :: else -> skip
  fi;
#endif
  d_step {
    whole = 0;
    e = q1;
    u = (q2 > KEPT -> q2 - KEPT : 0);
    do
    :: e < u -> break
    :: else ->
       if
       :: e == 0 || abs[e % S] <= x -> whole = 1; break
#ifndef NO_OVERLAP
       :: else ->
          if
          :: from[e % S] < o + n && o < till[e % S] -> break
          :: else -> e--
          fi
#else
       :: else -> e--
#endif
       fi
    od;
#ifdef UNPROVEN_OK
    whole = (e < u -> 1 : whole);
#endif
    if
    :: whole -> assert(good && m > 0 && m <= frames && total_of[m] == n && begin_of[m] == x)
    :: else -> skip
    fi
  };
out:
  skip
}

init { atomic { run Writer(); run Tap() } }
