/*
 * The native form of the ring: two byte counters and a table of jumps, writers that follow one another, a reader of
 * ours and the application that gives frames back in any order. README.md says what is abstracted.
 *
 * Units: a ring of P units; a frame takes whole units, its header lies in the first one.
 */
#ifndef P
#define P 5
#endif
#ifndef S
#define S 3                     /* entries of the table; 16 on the wire */
#endif
#ifndef NF
#define NF 3                    /* frames published in all */
#endif
#ifndef T1                      /* the totals that a frame may have */
#define T1 1
#endif
#ifndef T2
#define T2 2
#endif
#ifndef T3
#define T3 5
#endif
#ifndef CRASHES
#define CRASHES 0               /* deaths of writers in the run */
#endif
#ifndef LIVES
#define LIVES 1                 /* writers that may follow one another */
#endif
#ifndef ABORTS
#define ABORTS 0                /* loans dropped without commit */
#endif
#define POSTS 2                 /* sem-r is posted only while its value is below this */
#define HELD 5                  /* frames that fit into the ring */
#define WRITER 1                /* holders of the writer's presence byte */
#define REPAIR 2

/* ---- shared memory ---- */
byte size_[P];                  /* headers: the frame's total, */
byte num_[P];                   /* its number, */
byte data_[P];                  /* and its units' tags */
byte published;
byte credited;
byte jumps;
byte at_[S];
byte to_[S];
byte next_;
byte writer_pid = 1;
byte sem_w;
byte sem_r;

/* ---- kernel ---- */
byte byte1 = WRITER;            /* who holds the writer's presence byte; freed by death */

/* ---- reader-private, shared by its threads ---- */
bit latch;
byte taken;                     /* t */
byte released;                  /* the released prefix, as of the last credit */
byte held;                      /* frames in the FIFO */
byte held_size[HELD];
byte held_at[HELD];
bit held_back[HELD];
bit reader_done;

/* ---- ghosts: what the properties are about; no process decides by them ---- */
int occupied;                   /* units of published frames that are unread or held */
byte frames;
byte delivered;
byte tag_of[NF + 1];
byte attempt;
bit writers_done;
byte crashes = CRASHES;
byte aborts = ABORTS;

hidden byte i_;
hidden byte e_;
hidden byte x_;
hidden byte end_;
hidden byte runs_;
hidden byte ok_;

#define MASK(from, n) (((1 << (n)) - 1) << (from))
#define DEAD (writer_pid != 0 && byte1 != WRITER)

#if CRASHES > 0
#define OR_DIE :: atomic { crashes > 0 -> crashes--; byte1 = (byte1 == WRITER -> 0 : byte1); goto dead }
#else
#define OR_DIE
#endif
#define STEP(s) if :: atomic { s } OR_DIE fi

/* The ring offset of stream byte `x`, into x_. */
inline place_of(x) {
  e_ = j;
  do
  :: at_[e_ % S] > (x) -> e_--
  :: else -> break
  od;
  x_ = to_[e_ % S] + (x) - at_[e_ % S];
  e_ = 0
}

/* Where `total` units are free, as far as the writer knows: a bit for each offset, into `places`. */
inline find_places() {
  places = 0;
  i_ = 0;
  do
  :: i_ + total <= P ->
     x_ = i_;
     do
     :: x_ < i_ + total && bytes[x_] <= seen -> x_++
     :: else -> break
     od;
     places = (x_ == i_ + total -> places | (1 << i_) : places);
     i_++
  :: else -> break
  od;
  i_ = 0; x_ = 0
}

/* How many runs are outstanding, into runs_: a table without a free entry takes no further jump. */
inline count_runs() {
  e_ = j; end_ = p; runs_ = 0;
  do
  :: end_ > seen ->
     runs_++; end_ = at_[e_ % S];
     if
     :: e_ > 0 && runs_ < S -> e_--
     :: else -> end_ = 0
     fi
  :: else -> break
  od;
  e_ = 0; end_ = 0
}

proctype Writer(byte own; bit attached) {
  byte p, j, c, at, pos, seen, total, room, num, tag, to;
  bit jump, here;
  byte places;
  byte bytes[P];                                /* 1 + the stream byte that lies in each unit, as far as it counts */

  if
  :: attached -> num = 1; goto next
  :: else -> skip
  fi;

attach:
  STEP((writer_pid == 0 && byte1 == 0) || writers_done -> byte1 = WRITER);
  STEP(writer_pid = own);
  STEP(p = published; c = credited; seen = c; j = jumps);
  /* A death between the table and the publication left an entry for a byte that was never published. */
#ifndef KEEP_ENTRY
  if
  :: j > 0 && at_[j % S] == p -> STEP(j = j - 1; jumps = j)
  :: else -> skip
  fi;
#endif
  d_step {
    i_ = 0;
    do
    :: i_ < p - c -> place_of(c + i_); assert(x_ < P); bytes[x_] = c + i_ + 1; i_++
    :: else -> break
    od;
    i_ = 0;
    place_of(p); pos = x_; x_ = 0; c = 0;
    num = (next_ == 0 -> 1 : next_)
  };

next:
  if
  :: atomic { frames < NF -> total = T1 }
  :: atomic { frames < NF -> total = T2 }
  :: atomic { frames < NF -> total = T3 }
#ifdef EARLY_CLOSE
  :: goto close
#else
  :: frames == NF -> goto close
#endif
  fi;

reserve:
  skip;
  /* Any place that is free may be chosen, so that no policy of early jumps matters. */
  d_step {
    find_places();
    here = (pos < P && (places & (1 << pos)));
    if
    :: here -> places = places & ~(1 << pos)
    :: else -> skip
    fi;
#ifndef UNBOUNDED
    count_runs();
    places = (runs_ < S -> places : 0);         /* known bad without: the entry may still be needed */
    runs_ = 0
#endif
  };
  if
  :: atomic { here -> to = pos; jump = 0 }; goto chosen
  :: atomic { places & 1 -> to = 0; jump = 1 }; goto chosen
  :: atomic { places & 2 -> to = 1; jump = 1 }; goto chosen
  :: atomic { places & 4 -> to = 2; jump = 1 }; goto chosen
  :: atomic { places & 8 -> to = 3; jump = 1 }; goto chosen
  :: atomic { places & 16 -> to = 4; jump = 1 }; goto chosen
  :: !here && places == 0 -> skip
  OR_DIE
  fi;
  STEP(here = (seen != credited); seen = credited);
  if
  :: here -> here = 0; goto reserve
  :: else -> skip
  fi;
  if                                            /* no time-out: a lost wake-up is a deadlock */
  :: atomic { sem_r > 0 -> sem_r-- }
  OR_DIE
  fi;
  STEP(seen = credited);
  goto reserve;

chosen:
  places = 0; here = 0;
  STEP(assert((occupied & MASK(to, 1)) == 0); size_[to] = total; num_[to] = num; attempt++; tag = attempt);
#if ABORTS > 0
  if
  :: atomic { aborts > 0 -> aborts--; tag = 0; jump = 0; to = 0; goto next }
  :: skip
  fi;
#endif
  room = total;
  STEP(
    assert((occupied & MASK(to, total)) == 0);  /* nothing unread or held is ever overwritten */
    i_ = 0;
    do
    :: i_ < total -> data_[to + i_] = tag; i_++
    :: else -> break
    od;
    i_ = 0);
#ifdef SHORTEN
  if
  :: total > 1 -> room = total - 1; STEP(size_[to] = room)
  :: skip
  fi;
#endif
#define PUBLISH STEP( \
    published = p + room; \
    assert((occupied & MASK(to, room)) == 0); \
    occupied = occupied | MASK(to, room); frames++; tag_of[frames] = tag)
#ifdef PUBLISH_FIRST
  PUBLISH;                                      /* known bad: the reader does not know of the jump yet */
#endif
  if
  :: jump ->
     STEP(at_[(j + 1) % S] = p; to_[(j + 1) % S] = to);
     STEP(j++; jumps = j)
  :: else -> skip
  fi;
#ifndef PUBLISH_FIRST
  PUBLISH;
#endif
  STEP(
    sem_w++;
    i_ = 0;
    do
    :: i_ < room -> bytes[to + i_] = p + i_ + 1; i_++
    :: else -> break
    od;
    i_ = 0;
    p = p + room; pos = to + room; num++; tag = 0; to = 0; jump = 0; room = 0; total = 0);
  goto next;

close:
#ifndef NO_NUMBER
  STEP(next_ = num);
#endif
  STEP(writer_pid = 0);
#ifndef NO_CLOSE_POST
  STEP(sem_w++);
#endif
  STEP(byte1 = 0);
  goto successor;

dead:
  skip;
successor:
  skip;
  d_step {
    places = 0; here = 0;
    p = 0; j = 0; c = 0; at = 0; pos = 0; seen = 0; total = 0; room = 0; num = 0; tag = 0; to = 0; jump = 0;
    i_ = 0;
    do
    :: i_ < P -> bytes[i_] = 0; i_++
    :: else -> break
    od;
    i_ = 0
  };
  if
  :: own < LIVES -> own++; goto attach
  :: goto gone
  fi;
gone:
  writers_done = 1
}

proctype Reader() {
  byte p, j, k = 1, pos, n, bound, expected = 1;
  bit gone, last_look;

start:
  atomic { last_look = writers_done; gone = 0 };
  /* the repair, with the writer's byte held: nobody else moves meanwhile */
  if
  :: atomic {
       DEAD && byte1 == 0 -> byte1 = REPAIR;
       d_step {
#ifndef NO_NUMBER
         p = taken; n = pos; j = k;
         do                                     /* the walk over the unread headers */
         :: p < published ->
            if
            :: j <= jumps && at_[j % S] == p -> n = to_[j % S]; j++
            :: else -> next_ = num_[n] + 1; p = p + size_[n]; n = n + size_[n]
            fi
         :: else -> break
         od;
         if
         :: taken == published && expected > 1 -> next_ = expected
         :: else -> skip
         fi;
         p = 0; n = 0; j = 0;
#endif
         writer_pid = 0
       };
       byte1 = 0; gone = 1
     }
  :: atomic { !(DEAD && byte1 == 0) -> gone = (writer_pid == 0) }
  fi;

  p = published;
  if
  :: p == taken && gone && last_look -> goto done
  :: atomic { p == taken && gone && !last_look -> p = 0 };        /* the application calls again while writers may come */
     (writers_done || writer_pid != 0 || published != taken); goto start
  :: atomic { p == taken && !gone -> p = 0 };
     if
     :: atomic { sem_w > 0 -> sem_w-- }
     :: DEAD && byte1 == 0                      /* a slice ends only where the protocol relies on it */
#if CRASHES > 0
     :: writer_pid == 0 && byte1 == 0           /* death in the middle of a close */
#endif
     fi;
     goto start
  :: else -> bound = p
  fi;
entry:
  j = jumps;
  if
  :: atomic { j >= k -> n = at_[k % S];
       assert(n >= taken);
       if
       :: n == taken -> pos = to_[k % S]; k++; n = 0; goto entry
       :: n > taken -> bound = (n < p -> n : p); n = 0; p = 0; j = 0
       fi }
  :: atomic { j < k -> p = 0; j = 0 }
  fi;
  assert(pos + bound - taken <= P);
deliver:
  atomic {
    latch == 0 -> skip;
    d_step {
      n = size_[pos];
      assert(n >= 1 && n <= bound - taken);     /* a header is there, and whole */
      assert(num_[pos] == expected);            /* no number is left out or given twice */
      expected++;
      assert(delivered < frames);               /* nothing that was not published */
      delivered++;
      i_ = 0;
      do
      :: i_ < n -> assert(data_[pos + i_] == tag_of[delivered]); i_++     /* not torn, in order, once */
      :: else -> break
      od;
      i_ = 0;
      assert(held < HELD);
      held_at[held] = pos; held_size[held] = n; held_back[held] = 0; held++;
      taken = taken + n; pos = pos + n; n = 0
    }
  };
  if
  :: bound > taken -> goto deliver
  :: bound == taken -> bound = 0; goto start
  fi;
done:
  reader_done = 1
}

proctype Application() {
  byte k, n, v, c;

  do
  :: atomic {
       latch == 0 && held > 0 ->
       if
       :: !held_back[0] -> k = 0
       :: held > 1 && !held_back[1] -> k = 1
       :: held > 2 && !held_back[2] -> k = 2
       fi;
       latch = 1;
       d_step {
         held_back[k] = 1;
         occupied = occupied & ~MASK(held_at[k], held_size[k]);
#ifdef RELEASE_ORDER
         n = held_size[k];                      /* known bad: credited in the order of release */
#endif
         c = 0;
         do
         :: held > 0 && held_back[0] ->
            c = c + held_size[0]; i_ = 0;
            do
            :: i_ + 1 < held ->
               held_size[i_] = held_size[i_ + 1]; held_at[i_] = held_at[i_ + 1]; held_back[i_] = held_back[i_ + 1]; i_++
            :: else -> break
            od;
            held--; held_size[held] = 0; held_at[held] = 0; held_back[held] = 0; i_ = 0
         :: else -> break
         od;
#ifdef RELEASE_ORDER
         c = n; n = 0;
#endif
         k = 0;
         released = released + c
       }
     };
     if
     :: c > 0 ->
#ifdef CHECK_FIRST
        v = sem_r;                              /* known bad: what a missing fence allows */
#endif
        credited = released;
#ifndef CHECK_FIRST
        v = sem_r;
#endif
        if
        :: v < POSTS -> sem_r++
        :: else -> skip
        fi;
        v = 0
     :: else -> skip
     fi;
     atomic { c = 0; latch = 0 }
  :: atomic { reader_done && held == 0 -> break }
  od
}

init {
  atomic {
    run Writer(1, 1);
    run Reader();
    run Application()
  };
  (_nr_pr == 1);
  d_step {
    assert(delivered == frames);                /* each published frame, once (order: Reader) */
    assert(held == 0 && occupied == 0);
    assert(credited == published && taken == published)     /* no unit is lost */
  }
}
