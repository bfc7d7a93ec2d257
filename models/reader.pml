/* Our reader (repair, look, deliver, wait) and the application thread that gives frames back in any order. */

#ifdef READER_CRASH
#define OR_FAIL :: atomic { reader_alive = 0; byte1 = (byte1 == REPAIR -> 0 : byte1); goto done }
#else
#define OR_FAIL
#endif

#ifdef OLD_WRITER
#define UNDISTURBED
#else
#define UNDISTURBED atomic
#endif

/* A full and an empty ring have equal positions. Known to be ours: the reservation precedes write_pos, so full is free == 0. */
inline tie() {
  d_step {
    if
    :: free_ == P -> u = 0
#ifndef NO_TIE
    :: free_ == 0 -> u = P
#endif
    :: else ->
#if defined(WALK)
       seq_ = expected;
       chain(read_pos, P, write_pos % P);
#ifndef ANY_LAST
       ok_ = ok_ && last_ == free_;             /* what is still owed is the last frame, exactly */
#endif
       u = (ok_ -> P : 0);
       seq_ = 0; ok_ = 0; last_ = 0
#else
       u = 0
#endif
    fi
  }
}

proctype Reader() {
  byte expected = 1, p, u, f, v, n, tail;
  bit any_first, gone, last_look;
#ifdef OLD_WRITER
  byte token, debt;
  bit vouched;                                  /* an old, live writer: a frame needs a token or a slice of stillness */
#endif

start:                                          /* of every call and every slice */
#ifdef READER_CLOSE
  if
  :: skip
  :: goto close
  fi;
#endif
  if
  :: atomic {
       any_first = (any_first || (p != 0 && writer_pid != p));
       p = writer_pid; last_look = writers_done; gone = 0
     }
  OR_FAIL
  fi;
#ifdef OLD_WRITER
  d_step {
    vouched = (p == OLD && old_alive);
    if
    :: !vouched -> token = 0; debt = 0
    :: else -> skip
    fi
  };
#endif
  /* (b) repair, under the credit lock and the writer's byte; with writers of ours nobody else moves meanwhile */
  UNDISTURBED {
    if
#ifdef NO_LIVENESS
    :: p != 0 -> goto look                      /* known bad: only a clean close is noticed */
    :: atomic { p == 0 && credit_lock == 0 -> credit_lock = 1 }
#else
    :: p != 0 && !DEAD(p) -> goto look
    :: atomic { (p == 0 || DEAD(p)) && credit_lock == 0 -> credit_lock = 1 }
#endif
    fi;
    if
    :: atomic { byte1 == 0 -> byte1 = REPAIR }
    :: atomic { byte1 != 0 -> gone = (p == 0); goto unlock }    /* closing or attaching */
    fi;
again:
    p = writer_pid;
    if
    :: p == OLD && old_alive -> goto repaired
    :: else -> skip
    fi;
    atomic {
      f = free_;
      u = (write_pos % P + P - read_pos) % P;
      if
      :: u == 0 && held == 0 -> tie()
      :: else -> skip
      fi;
      assert(u + held <= P)
    };
    if
    :: writer_pid != p -> goto again
    :: writer_pid == p
    fi;
    if
    :: atomic { f != P - u - held && free_ != f -> goto again }
    :: atomic { f != P - u - held && free_ == f -> free_ = P - u - held }
    :: f == P - u - held
    fi;
    if
    :: atomic { write_pos == P -> write_pos = 0 }
    :: write_pos != P
    fi;
    atomic {
      if
      :: writer_pid == p -> writer_pid = 0
      :: else -> skip
      fi;
      gone = 1; any_first = 1
#ifdef OLD_WRITER
      ;
      vouched = 0
#endif
    };
repaired:
    atomic { byte1 = 0; f = 0; u = 0 };
unlock:
    credit_lock = 0
  };

look:
#ifdef OLD_WRITER
#ifndef OLD_TOKENLESS
  if
  :: vouched && token == 0 -> goto wait
  :: else -> skip
  fi;
#endif
#endif
  if
  :: u = (write_pos % P + P - read_pos) % P
  OR_FAIL
  fi;
  if
  :: u != 0 -> goto deliver
#ifdef LOCKLESS_LOOK
  :: u == 0 ->                                  /* known bad: held and free are not one moment */
     if
     :: held > 0 -> skip
     :: held == 0 -> tie()
     fi
#else
  :: atomic {
       u == 0 && credit_lock == 0 ->            /* equal positions: held and free decide, as of one moment */
       if
       :: held > 0 -> skip
       :: held == 0 -> tie()
       fi
     }
#endif
  fi;
#ifndef STALE_TIE
  if                                            /* free is younger than the position it was judged with: look again */
  :: atomic { u == P && write_pos % P != read_pos -> u = (write_pos % P + P - read_pos) % P }
  :: u == P && write_pos % P == read_pos
  :: u < P
  fi;
#endif
  if
  :: u > 0 -> goto deliver
  :: u == 0 && gone -> goto writer_gone
  :: else -> skip
  fi;
#ifdef OLD_WRITER
  token = 0;
#endif
#ifdef SWALLOW_LATE
  do                                            /* known bad: surplus tokens swallowed after the look */
  :: atomic { sem_w > 0 -> sem_w-- }
  :: atomic { sem_w == 0 -> break }
  od;
#endif

wait:
  if
  :: atomic { sem_w > 0 -> sem_w--;
#ifdef OLD_WRITER
     if
     :: !vouched -> skip
#ifndef NO_DEBT
     :: vouched && debt > 0 -> debt--           /* the token of a frame that was read without it */
#endif
     :: else -> token = 1
     fi
#endif
     }
#ifdef OLD_WRITER
  :: atomic { READER_SLICE -> token = (vouched && old_alive && !in_flight && write_pos % P != read_pos -> 2 : 0) }
#else
  :: READER_SLICE
#endif
  OR_FAIL
  fi;
  goto start;

deliver:
  if
  :: P - read_pos < H || cell[read_pos] == 0 ->                 /* a marker or a sliver */
     atomic {
       credit_lock == 0 -> credit_lock = 1;
       tail = P - read_pos;
       assert(tail <= u);
       assert(occupied & MASK(read_pos, 1));
       occupied = occupied & ~MASK(read_pos, tail);
       read_pos = 0;
       n = 0;
       held = held + tail;
       if
#if !defined(OUT_OF_ORDER) && !defined(SINGLE_RECORD)
       :: slots > 0 -> push(0, tail, 1)
#endif
       :: else -> n = tail                      /* nothing before it: credited at once */
       fi
     };
     if
     :: n > 0 -> credit(n)
     :: else -> skip
     fi;
     atomic {
       credit_lock = 0; n = 0;
#ifdef OLD_WRITER
       token = (token == 2 -> 0 : token);       /* stillness vouched for the wrap only */
       u = tail;
#endif
       u = u - tail; tail = 0
     };
     if
     :: u > 0 -> goto deliver
     :: u == 0 -> goto start                    /* not to the look: a token swallowed meanwhile may have told of a close */
     fi
  :: else ->
     atomic {
       credit_lock == 0 -> skip;
       d_step {
         n = cell[read_pos];
         assert(n > H && n <= P - read_pos && n <= u);          /* a header is there, and whole */
         if                                     /* the first frame of a new writer may have any sequence */
         :: cell[read_pos + 1] != expected -> assert(any_first || writer_pid != p); any_first = 0
         :: else -> skip
         fi;
         expected = cell[read_pos + 1] + 1;
         assert(delivered < published);                         /* nothing that was not published */
         delivered++;
         i_ = H;
         do
         :: i_ < n -> assert(cell[read_pos + i_] == tag_of[delivered]); i_++    /* not torn, in order, once */
         :: else -> break
         od;
         i_ = 0;
         push(read_pos, n, 0);
#ifdef SINGLE_RECORD
         record = n;
#endif
         held = held + n;
         read_pos = (read_pos + n) % P;
         u = u - n; n = 0                       /* what was seen to be published is delivered without another look */
       }
#ifdef OLD_WRITER
       ;
       u = 0;                                   /* a token or a slice of stillness is for one frame */
       debt = (token == 2 -> debt + 1 : debt);
       token = 0
#endif
     };
#ifndef OLD_WRITER
     if                                         /* tokens are hints: swallowed before the next look, or not */
     :: atomic { sem_w > 0 -> sem_w-- }
#ifdef ANY_SWALLOW
     :: skip
#else
     :: sem_w == 0
#endif
     fi;
#endif
     if
     :: u > 0 -> goto deliver
     :: u == 0 -> goto start
     fi
  fi;

writer_gone:                                    /* WriterGone; the application calls again while writers may come */
  if
  :: last_look -> goto done
  :: !last_look && (writers_done || writer_pid != 0 || write_pos % P != read_pos) -> goto start
  OR_FAIL
  fi;

#ifdef READER_CLOSE
close:
  reader_pid = 0;
#ifndef NO_READER_CLOSE_POST
  sem_r++;
#endif
  reader_alive = 1;
#endif
done:
  reader_done = 1
}

proctype Application() {
  byte k, n, v;

  do
  :: atomic {
       reader_alive && credit_lock == 0 && slots > 0 ->
       if
       :: !slot_released[0] -> k = 0
       :: slots > 1 && !slot_released[1] -> k = 1
       :: slots > 2 && !slot_released[2] -> k = 2
       :: slots > 3 && !slot_released[3] -> k = 3
       fi;
       credit_lock = 1;
       d_step {
         slot_released[k] = 1;
         occupied = occupied & ~MASK(slot_at[k], slot_size[k]);
#if defined(OUT_OF_ORDER)
         v = slot_size[k];                      /* known bad: credited in the order of release */
         pop_released();
         n = v; v = 0
#elif defined(SINGLE_RECORD)
         v = record; record = 0;                /* known bad: one record for all frames */
         pop_released();
         n = v; v = 0
#else
         pop_released()
#endif
         ;
         k = 0
       }
     };
     if
     :: n > 0 -> credit(n)
     :: else -> skip
     fi;
     atomic { n = 0; credit_lock = 0 }
  :: atomic { !reader_alive || (reader_done && slots == 0) -> break }
  od
}
