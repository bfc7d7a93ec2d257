/*
 * A writer of another implementation: its store order (peers: marker, free, position 0; then data, write_pos, free, post),
 * its plain stores, of which the reader may see write_pos before the frame, and its death between any two of them.
 */

#if CRASHES > 0
#define OLD_DIE :: atomic { crashes > 0 -> crashes--; old_alive = 0; goto dead }
#else
#define OLD_DIE
#endif
#define OLD_STEP(s) if :: atomic { s } OLD_DIE fi

inline old_frame() {
  put_header(at, total, seq);
  fill(at + H, total - H, tag)
}

/* A frame that fills the ring leaves the position where it is: only its reservation tells. */
inline old_publish(by_position) {
  if
  :: (total != P) == by_position -> publish_ghost(MASK(at, total))
  :: else -> skip
  fi
}

proctype OldWriter() {
  byte w, seq = 1, total, at, tail, tag;
  bit wraps;

next:
  skip;
  d_step { w = write_pos; tail = P - w; at = 0; total = 0; wraps = 0 };
  if
  :: atomic { published < NF -> total = T1 }
  :: atomic { published < NF -> total = T2 }
  :: atomic { published < NF -> total = T3 }
  :: atomic { published < NF && w % P == 0 -> total = T4 }
  :: goto close
  fi;
  if
  :: tail >= total -> at = w
  :: tail < total && tail + total <= P -> wraps = 1
  :: else -> goto next                          /* unplaceable: a full buffer by its time-out; the next size */
  fi;
again:
  if
  :: free_ >= total + (wraps -> tail : 0) -> skip
  :: free_ < total + (wraps -> tail : 0) ->
     if
     :: atomic { sem_r > 0 -> sem_r-- }
     OLD_DIE
     fi;
     goto again
  OLD_DIE
  fi;
  if
  :: wraps ->
     if
     :: tail >= H -> OLD_STEP(put_header(w, 0, 0))
     :: else -> skip
     fi;
     OLD_STEP(free_ = free_ - tail);
     OLD_STEP(occupied = occupied | MASK(w, tail); write_pos = 0)
  :: else -> skip
  fi;
  d_step { attempt++; tag = TAG + attempt };
  if
  :: OLD_STEP(old_frame());                     /* the frame is seen first */
     OLD_STEP(write_pos = (at + total) % P; old_publish(1))     /* C#, commit_frame */
  :: OLD_STEP(old_frame());
     OLD_STEP(write_pos = at + total; old_publish(1))           /* C++, write_frame: may be P */
  :: OLD_STEP(write_pos = at + total; in_flight = 1);           /* the position is seen first */
     if
     :: atomic { old_frame(); old_publish(1); in_flight = 0 }
#if CRASHES > 0
     :: atomic { crashes > 0 -> crashes--; old_frame(); old_publish(1); in_flight = 0; old_alive = 0; goto dead }    /* death loses no store */
#endif
     fi
  fi;
  OLD_STEP(free_ = free_ - total; old_publish(0));
  OLD_STEP(sem_w++; seq++; tag = 0);
  goto next;

close:
  OLD_STEP(writer_pid = 0; old_alive = 0);      /* and no post */
dead:
  skip;
  d_step { w = 0; seq = 0; total = 0; at = 0; tail = 0; tag = 0; wraps = 0 };
  if
  :: LIVES > 0 -> run Writer(1, 0)
  :: atomic { writers_done = 1 }
  fi
}
