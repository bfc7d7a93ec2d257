/* A writer of ours and its successors: attach, reserve, publish, close, and death between any two steps. */

#if CRASHES > 0
#define OR_DIE :: atomic { crashes > 0 -> crashes--; byte1 = (byte1 == WRITER -> 0 : byte1); goto dead }
#else
#define OR_DIE
#endif
#if ABORTS > 0
#define OR_GIVE_UP :: atomic { aborts > 0 -> aborts--; goto next }
#else
#define OR_GIVE_UP
#endif
#define STEP(s) if :: atomic { s } OR_DIE fi

#if defined(READER_CLOSE) || defined(READER_CRASH)
#define CHECK_READER \
  if \
  :: atomic { reader_pid == 0 || !reader_alive -> goto no_reader } \
  :: reader_pid != 0 && reader_alive \
  OR_DIE \
  fi;
#else
#define CHECK_READER
#endif

/* Waits for `units` of space; no time-out: a lost wake-up is a deadlock. */
#define WAIT_SPACE(units, again, got) \
again: \
  if \
  :: free_ >= (units) -> goto got \
  :: free_ < (units) \
  OR_DIE \
  fi; \
  CHECK_READER \
  if \
  :: atomic { sem_r > 0 -> sem_r-- } \
  :: WRITER_SLICE \
  OR_GIVE_UP \
  OR_DIE \
  fi; \
  goto again; \
got: skip

proctype Writer(byte own; bit attached) {
  byte w, seq, total, at, skip_, sliver, need, p, tag;
  bit touched;                                  /* offset 0 holds an unpublished header: the next frame goes there */

  if
  :: attached -> seq = 1; goto next
  :: else -> skip
  fi;

attach:
  STEP(p = writer_pid);
  if
  :: p == 0 ->
     STEP(byte1 == 0 -> byte1 = WRITER);
     STEP(if :: writer_pid == 0 -> writer_pid = own :: else -> byte1 = 0; goto attach fi)
  :: else ->
#ifdef NO_REPAIR_WAIT
     STEP(byte1 == 0 -> byte1 = WRITER);
     STEP(writer_pid = own)
#else
     STEP(byte1 == 0 -> byte1 = WRITER);
     STEP(if :: writer_pid == p -> writer_pid = TOMBSTONE :: else -> skip fi);
     STEP(byte1 = 0);
     STEP(sem_w++);
     if
     :: writer_pid != TOMBSTONE
     :: goto gone                               /* the deadline: the reader has not noticed the crash yet */
     OR_DIE
     fi;
     goto attach
#endif
  fi;
  STEP(recover_sequence());

next:
  CHECK_READER
  if
  :: atomic { published < NF -> total = T1 }
  :: atomic { published < NF -> total = T2 }
  :: atomic { published < NF -> total = T3 }
  :: atomic { published < NF -> total = T4 }
#ifdef EARLY_CLOSE
  :: goto close
#else
  :: published == NF -> goto close
#endif
  fi;
  /* the plan of algorithms (c) */
  if
  :: atomic { total <= P - w && !(touched && w != 0) -> at = w; skip_ = 0; sliver = P - w - total }
  :: atomic { total > P - w || (touched && w != 0) -> at = 0; skip_ = P - w; sliver = P - total }
  fi;
  d_step {
    sliver = (sliver < H -> sliver : 0);
    need = skip_ + total + sliver
  };
  if
  :: need <= P -> goto reserve
  :: else -> skip
  fi;

  /* bare wrap: the tail alone, then the frame at 0 */
  WAIT_SPACE(skip_, bare_again, bare_got);
  if
  :: skip_ >= H -> STEP(put_header(w, 0, 0))
  :: else -> skip
  fi;
#ifndef NO_BARE_HEADER
  /* what stands at 0 may be an unpublished header: the tie walk must not believe it */
  if
  :: atomic { free_ >= skip_ + H -> put_open_header(0, total, seq) }
  :: free_ < skip_ + H
  OR_DIE
  fi;
#endif
  STEP(free_ = free_ - skip_);
  STEP(assert((occupied & MASK(w, skip_)) == 0); occupied = occupied | MASK(w, skip_); write_pos = 0);
  STEP(sem_w++; w = 0; skip_ = 0; need = total + sliver);

reserve:
#ifdef OLD_SPACE_CHECK
  WAIT_SPACE(total, again, got);                /* known bad: the wasted tail is not counted */
#else
  WAIT_SPACE(need, again, got);
#endif
  if
  :: skip_ >= H -> STEP(put_header(w, 0, 0))
  :: else -> skip
  fi;
  STEP(put_open_header(at, total, seq); touched = (at == 0 || touched); attempt++; tag = TAG + attempt);
#if ABORTS > 0
  if
  :: atomic { aborts > 0 -> aborts--; tag = 0; goto next }
  :: skip
  fi;
#endif
  STEP(fill(at + H, total - H, tag));
  if
  :: at == 0 -> STEP(put_header(0, total, seq))
  :: else -> skip
  fi;
#define FRAME_MASK (MASK(at, total) | MASK(w, skip_) | MASK(at + total, sliver))
#define END ((at + total + sliver) % P)
#ifdef PUBLISH_FIRST
  STEP(write_pos = END; if :: END != w -> publish_ghost(FRAME_MASK) :: else -> skip fi);
#endif
  /* a frame that fills the whole ring leaves write_pos as it is: its reservation publishes it */
  STEP(assert(free_ >= need); free_ = free_ - need; if :: END == w -> publish_ghost(FRAME_MASK) :: else -> skip fi);
#ifndef PUBLISH_FIRST
  STEP(if :: END != w -> publish_ghost(FRAME_MASK) :: else -> skip fi; write_pos = END);
#endif
  STEP(sem_w++;
    w = END; seq++; touched = (touched && at != 0); tag = 0; at = 0; need = 0; skip_ = 0; sliver = 0; total = 0);
  goto next;

close:
  STEP(if :: writer_pid == own -> writer_pid = 0 :: else -> skip fi);
#ifndef NO_CLOSE_POST
  STEP(sem_w++);
#endif
  STEP(byte1 = 0);
  goto successor;

no_reader:                                      /* ReaderGone */
  atomic {
#if !defined(READER_CLOSE) && !defined(READER_CRASH)
    assert(0);
#endif
    byte1 = (byte1 == WRITER -> 0 : byte1)
  };
  goto gone;

dead:
  skip;
successor:
  skip;
  d_step { w = 0; at = 0; skip_ = 0; sliver = 0; need = 0; total = 0; p = 0; tag = 0; seq = 0; touched = 0 };
  if
  :: own < LIVES -> own++; goto attach
  :: goto gone
  fi;
gone:
  writers_done = 1
}
