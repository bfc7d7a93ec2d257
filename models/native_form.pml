/*
 * The switch between both forms of the ring: native writers and writers of other implementations follow one another, an
 * intruder of another implementation comes in beside whoever is there, any of them may die at any step.
 * README.md says what is abstracted.
 *
 * A frame in legacy form takes one unit, one in native form one or two, at any place that is free.
 */
#ifndef P
#define P 3
#endif
#ifndef NF
#define NF 3                    /* frames published in all */
#endif
#ifndef LIVES
#define LIVES 2                 /* writers that follow one another, of either kind */
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#define OLD 1                   /* kinds of writer, which stand for their pids too */
#define NATIVE 2
#define INTRUDER 3
#define WRITER 1                /* holders of the writer's presence byte */
#define REPAIR 2
#define HELD 3

/* ---- shared memory ---- */
byte size_[P];
byte tag_[P];
byte free_ = P;
byte write_pos;
byte writer_pid;
byte published;
byte credited;
byte jumps;                     /* number of the newest jump */
byte at_[2];                    /* two entries do, since a jump waits here until all is given back */
byte to_[2];
byte form;                      /* odd: native */
byte sem_r;

/* ---- kernel ---- */
byte byte1;
bit alive[4];                   /* whose pid exists */

/* ---- reader-private ---- */
bit latch;
byte read_pos;
byte taken;
byte held;
bit held_native[HELD];
byte held_at[HELD];
byte held_size[HELD];
bit reader_done;

/* ---- ghosts ---- */
byte occupied;
byte frames;
byte delivered;
byte attempt;
byte begun;                     /* frames that were reserved, published or not */
byte tag_of[NF + 1];
bit writers_done;
bit intruder_over;
byte crashes = CRASHES;

hidden byte i_;
hidden byte n_;

#define MASK(from, n) (((1 << (n)) - 1) << (from))
#define NATIVE_FORM (form & 1)
#define GONE(p) ((p) == 0 || !alive[p])
#if CRASHES > 0
#define OR_DIE :: atomic { crashes > 0 -> crashes--; alive[kind] = 0; byte1 = (kind == NATIVE && byte1 == WRITER -> 0 : byte1); goto gone }
#else
#define OR_DIE
#endif
#define STEP(s) if :: atomic { s } OR_DIE fi

inline put(at, total) {
  assert((occupied & MASK(at, total)) == 0);    /* nothing unread or held is ever overwritten */
  size_[at] = total; begun++; attempt++; tag = attempt; tag_[at] = tag
}

inline publish_ghost(at, total) {
  assert((occupied & MASK(at, total)) == 0);
  occupied = occupied | MASK(at, total); frames++; tag_of[frames] = tag
}

/* A writer of another implementation: it looks at `free_` before its first store, and waits at most as long as it likes. */
inline old_life() {
  skip;
old_next:
  if
  :: begun < NF && writer_pid == kind
  :: atomic { writer_pid = (writer_pid == kind -> 0 : writer_pid); alive[kind] = 0; goto gone }
  OR_DIE
  fi;
  if
  :: atomic { free_ >= 2 -> at = write_pos % P }
  :: atomic { free_ < 2 && sem_r > 0 -> sem_r--; goto old_next }
  :: atomic { free_ < 2 -> writer_pid = (writer_pid == kind -> 0 : writer_pid); alive[kind] = 0; goto gone }      /* its time-out */
  OR_DIE
  fi;
  if
  :: atomic { begun < NF -> put(at, 1) }
  :: begun == NF -> goto old_next
  OR_DIE
  fi;
  STEP(publish_ghost(at, 1); write_pos = (at + 1) % P);
  STEP(free_ = free_ - 1; tag = 0; at = 0);
  goto old_next
}

proctype Writer() {
  byte kind, lives = LIVES, p, c, pos, at, total, tag, to;
  bit jump;

next_life:
  if
  :: lives == 0 -> goto done
  :: atomic { lives > 0 && frames == NF -> goto done }
  :: atomic { lives > 0 && frames < NF && !alive[INTRUDER] && (writer_pid == 0 || (writer_pid == NATIVE && !alive[NATIVE])) -> lives--; kind = OLD; alive[OLD] = 1; writer_pid = OLD }
  :: atomic { lives > 0 && frames < NF && writer_pid == 0 && byte1 == 0 -> lives--; kind = NATIVE; alive[NATIVE] = 1; byte1 = WRITER; writer_pid = NATIVE }
  fi;
  if
  :: kind == OLD -> old_life()
  :: else -> skip
  fi;

  /* Native form is entered by taking all of `free_`: a writer of another implementation then finds the ring full. One that
   * came in beside this one may have looked at `free_` before; so this one looks back, within the time of one frame. */
  if
  :: NATIVE_FORM -> skip
  :: !NATIVE_FORM ->
#ifdef FREE_AS_IS
     STEP(to = (free_ == P));                   /* known bad: nothing keeps an old writer out */
#else
     STEP(to = (free_ == P); free_ = (to -> 0 : free_);
#ifndef NO_LOOK_BACK
       if
       :: to && writer_pid != NATIVE -> free_ = free_ + P; to = 0
       :: else -> skip
       fi
#else
       skip                                     /* known bad: its frame is charged to a ring in native form */
#endif
       );
#endif
     if
     :: to == 1 -> STEP(form++; to = 0)
     :: else -> goto close                      /* legacy form for its life: the other models' subject */
     fi
  OR_DIE
  fi;
  STEP(p = published; c = credited;
    if
    :: jumps > 0 && at_[jumps & 1] == p -> jumps--      /* a jump that was never published */
    :: else -> skip
    fi;
    pos = to_[jumps & 1] + p - at_[jumps & 1]);

native_next:
  if
  :: atomic { frames < NF && writer_pid == NATIVE -> c = credited }
  :: goto close
  OR_DIE
  fi;
  if
  :: pos + 1 <= P -> total = 1; to = pos
  :: pos + 2 <= P -> total = 2; to = pos
  :: c == p -> total = 1; to = 1; jump = 1
  :: c == p -> total = 2; to = 0; jump = 1
  :: c != p -> goto native_next                 /* waits; wake-ups are the other models' subject */
  OR_DIE
  fi;
  if
  :: atomic { begun < NF -> put(to, total) }
  :: begun == NF -> goto close
  OR_DIE
  fi;
  if
  :: jump -> STEP(at_[(jumps + 1) & 1] = p; to_[(jumps + 1) & 1] = to); STEP(jumps++)
  :: else -> skip
  fi;
  STEP(publish_ghost(to, total); published = p + total);
  d_step { p = p + total; pos = to + total; total = 0; tag = 0; to = 0; jump = 0 };
  goto native_next;

close:
  STEP(if :: writer_pid == NATIVE -> writer_pid = 0 :: else -> skip fi);
  STEP(byte1 = 0; alive[NATIVE] = 0);

gone:
  skip;
  d_step { kind = 0; p = 0; c = 0; pos = 0; at = 0; total = 0; tag = 0; to = 0; jump = 0 };
  goto next_life;
done:
  writers_done = 1
}


/* A writer of another implementation that asks nobody who is there. */
proctype Intruder() {
  byte kind = INTRUDER, at, tag;

  if
  :: atomic { !alive[OLD] && (writer_pid == 0 || writer_pid == NATIVE) -> alive[INTRUDER] = 1; writer_pid = INTRUDER }
  :: goto gone
  fi;
  old_life();
gone:
  skip;
  atomic { alive[INTRUDER] = 0; intruder_over = 1 }
}

/* Full rings in legacy form, with equal positions, are ring.pml's subject: old writers leave a unit free here. */
inline legacy_unread() {
  n_ = (write_pos + P - read_pos) % P
}

inline deliver(at, is_native) {
  assert(delivered < frames);
  delivered++;
  assert(tag_[at] == tag_of[delivered]);      /* in order, once, whole */
  held_native[held] = is_native; held_at[held] = at; held_size[held] = size_[at]; held++
}

proctype Reader() {
  byte p, k = 1, pos;
  bit last_look, some;

start:
  last_look = writers_done && intruder_over;
  some = 0;
  if
  :: !NATIVE_FORM ->
     atomic { latch == 0 -> legacy_unread();
       if
       :: n_ > 0 -> deliver(read_pos, 0); read_pos = (read_pos + 1) % P; some = 1
       :: else -> skip
       fi;
       n_ = 0 }
  :: NATIVE_FORM ->
     p = published;
     if
     :: atomic { p != taken ->
          if
          :: jumps >= k && at_[k & 1] == taken -> pos = to_[k & 1]; k++
          :: else -> skip
          fi;
          assert(pos + size_[pos] <= P);
          deliver(pos, 1); taken = taken + size_[pos]; pos = pos + size_[pos]; some = 1; p = 0 }
     :: p == taken -> p = 0
     fi
  fi;
  if
  :: some -> goto start
  :: else -> skip
  fi;
  /* The repair and the way back, with the writer's byte and the latch: whoever is registered may be of another kind. */
  if
  :: atomic { byte1 == 0 && latch == 0 -> byte1 = REPAIR; latch = 1 }
#ifdef LEAVE_BESIDE_WRITER
  :: atomic { byte1 != 0 && latch == 0 -> latch = 1 }           /* known bad: a native writer lives */
#endif
  :: byte1 != 0 || latch != 0 -> goto idle
  fi;
  if
  :: NATIVE_FORM ->
     atomic {                                   /* first the dead writer, by the rule of the form that it wrote in */
       if
       :: GONE(writer_pid) -> writer_pid = 0
       :: else -> skip
       fi
     };
     if
#ifdef LEAVE_HELD
     :: taken == published ->                   /* known bad: frames are held */
#else
     :: taken == published && credited == taken ->
#endif
        free_ = P; form++
     :: else -> skip
     fi
  :: !NATIVE_FORM ->                            /* the repair is exact: nobody writes while nobody is registered */
     atomic {
       if
       :: GONE(writer_pid) ->
          legacy_unread();
          p = P - n_; n_ = 0;
          i_ = 0;
          do
          :: i_ < held -> p = (held_native[i_] -> p : p - held_size[i_]); i_++
          :: else -> break
          od;
          i_ = 0;
          free_ = p; writer_pid = 0
       :: else -> skip
       fi
     }
  fi;
  atomic { byte1 = (byte1 == REPAIR -> 0 : byte1); latch = 0; p = 0 };
  if
  :: last_look && delivered == frames -> goto done
  :: else -> skip
  fi;
idle:
  p = 0;
  goto start;
done:
  reader_done = 1
}

proctype Application() {
  byte c;
  do
  :: atomic { latch == 0 && held > 0 -> latch = 1;
       occupied = occupied & ~MASK(held_at[0], held_size[0]);
       c = held_size[0];
       if
       :: held_native[0] -> credited = credited + c
       :: else -> free_ = free_ + c; assert(free_ <= P + 1)
       fi;
       i_ = 0;
       do
       :: i_ + 1 < held -> held_at[i_] = held_at[i_ + 1]; held_size[i_] = held_size[i_ + 1]; held_native[i_] = held_native[i_ + 1]; i_++
       :: else -> break
       od;
       i_ = 0; held--; held_at[held] = 0; held_size[held] = 0; held_native[held] = 0;
       sem_r = (sem_r < 2 -> sem_r + 1 : sem_r); c = 0; latch = 0 }
  :: atomic { reader_done && held == 0 -> break }
  od
}

init {
  atomic { run Writer(); run Intruder(); run Reader(); run Application() };
  (_nr_pr == 1);
  d_step {
    assert(delivered == frames && occupied == 0 && held == 0);
    assert(NATIVE_FORM || free_ == P)
  }
}
