/*
 * Who is attached: the first writer closes or dies, two contenders (and, with OLD_CONTENDER, a writer of another
 * implementation) come at any moment, the reader repairs and clears. The ring itself is one bit: `torn`.
 */
#define FREE 0
#define REPAIR 9                /* the reader holds the writer's byte */
#define OLD 5
#define TOMBSTONE 7
#define PIDS 8
#ifndef CRASHES
#define CRASHES 2
#endif

byte writer_pid = 1;
byte byte1 = 1;                 /* presence: who holds it */
byte byte2;                     /* claim */
bit alive[PIDS];                /* ghost and, for old peers, what kill(pid, 0) says */
bit torn;                       /* a dead writer's reservation is not yet repaired */
byte attached;                  /* ghost: writers of ours that believe they own the ring */
byte crashes = CRASHES;
byte running = 3;               /* writers that may still come */

#ifdef NO_LOCKS
#define DEAD(p) ((p) != 0 && !alive[p])
#else
#define DEAD(p) ((p) != 0 && !((p) == OLD && alive[OLD]) && byte1 != (p))
#endif

/* Kernel: the locks of a dead or gone process are free at once. */
inline release_locks() {
  byte1 = (byte1 == own -> FREE : byte1);
  byte2 = (byte2 == own -> FREE : byte2)
}

#define OR_DIE :: atomic { crashes > 0 -> crashes--; release_locks(); alive[own] = 0; goto dead }
#define STEP(s) if :: atomic { s } OR_DIE fi

/* Stores our pid; whatever stood there must not have been a live writer's. */
inline store_pid() {
  assert(writer_pid == 0 || !alive[writer_pid]);
  writer_pid = own
}

proctype Writer(byte own; bit first) {
  byte p;

  if
  :: first -> goto stream
  :: else -> skip
  fi;
#ifdef PID_REUSE
  !alive[own];                                  /* the first writer's pid, given out again after its death */
#endif
  alive[own] = 1;
#ifdef NO_LOCKS
again:                                          /* locks do not work here: both ends run as old peers */
  STEP(p = writer_pid);
  if
  :: p != 0 && alive[p] -> goto end             /* AlreadyConnected */
  :: p == 0 || !alive[p]
  fi;
#ifdef TEST_THEN_STORE
  STEP(writer_pid = own);                       /* known bad */
#else
  STEP(if :: writer_pid == p -> store_pid() :: else -> goto again fi);
#endif
  torn = 0;                                     /* this mode has no repair and no promise about it */
#else
  if
  :: atomic { byte2 == FREE -> byte2 = own }
  :: atomic { byte2 != FREE -> goto end }       /* AlreadyConnected */
  fi;
again:
  STEP(p = writer_pid);
  if
  :: p == 0 ->
     STEP(byte1 == FREE -> byte1 = own);
#ifdef TEST_THEN_STORE
     STEP(p = writer_pid);
     if
     :: p == 0 -> STEP(store_pid())             /* known bad */
     :: else -> STEP(byte1 = FREE); goto again
     fi
#else
     STEP(if :: writer_pid == p -> store_pid() :: else -> byte1 = FREE; goto again fi)
#endif
  :: else ->
     if
     :: atomic { byte1 == FREE -> byte1 = own }
     :: byte1 != FREE ->                        /* a live writer: wait for its end, or for the deadline */
        if
        :: writer_pid != p || byte1 == FREE -> goto again
#ifdef DEADLINE
        :: goto end
#endif
        OR_DIE
        fi
     OR_DIE
     fi;
     if
     :: p == OLD && alive[OLD] -> STEP(byte1 = FREE); goto wait
     :: else -> skip
     fi;
#ifdef NO_REPAIR_WAIT
     STEP(if :: writer_pid == p -> store_pid() :: else -> byte1 = FREE; goto again fi);
     goto done
#else
     STEP(if :: writer_pid == p -> writer_pid = TOMBSTONE :: else -> skip fi);
     STEP(byte1 = FREE)
#endif
wait:
     if
     :: writer_pid != TOMBSTONE && (writer_pid != p || !alive[p])       /* the reader's verdict */
#ifdef DEADLINE
     :: goto end                                /* CrashNotNoticed or AlreadyConnected */
#endif
     OR_DIE
     fi;
     goto again
  fi;
done:
  byte2 = (byte2 == own -> FREE : byte2);
#endif
  attached++;
  assert(attached == 1);                        /* two writers are never both attached */
  assert(!torn);                                /* and none on a ring that is not repaired */

stream:
  if                                            /* publishes, closes, or dies in the middle of a publication */
  :: atomic { crashes > 0 -> crashes--; torn = 1; attached--; release_locks(); alive[own] = 0; goto dead }
  :: skip
  fi;
  atomic {
    if
    :: writer_pid == own -> writer_pid = 0
    :: else -> skip
    fi;
    attached--
  };
  STEP(byte1 = (byte1 == own -> FREE : byte1));
end:
  atomic { release_locks(); alive[own] = 0 };
dead:
  running--
}

#ifdef OLD_CONTENDER
proctype OldContender() {
  alive[OLD] = 1;
  if
  :: writer_pid == 0 -> skip                    /* it tests here ... */
  :: writer_pid != 0 -> goto end
  fi;
  atomic {                                      /* ... and stores here, over whoever came meanwhile */
    if
    :: writer_pid != 0 && alive[writer_pid] -> goto end         /* it overwrites a live writer: W7 makes ours stop; not modelled */
    :: else -> writer_pid = OLD; torn = 0        /* on an unrepaired ring: the hazard that stays with old peers */
    fi
  };
  if
  :: writer_pid = 0; alive[OLD] = 0
  :: alive[OLD] = 0
  fi;
end:
  alive[OLD] = 0
}
#endif

proctype Reader() {
  byte p;

  do
  :: atomic { byte1 == FREE && (DEAD(writer_pid) || torn) -> byte1 = REPAIR };
     p = writer_pid;
     if
     :: p == OLD && alive[OLD] -> skip
     :: else ->
        if
        :: atomic { writer_pid == p -> torn = 0 }
        :: writer_pid != p
        fi;
        atomic {
          if
          :: writer_pid == p && p != 0 -> writer_pid = 0
          :: else -> skip
          fi
        }
     fi;
     byte1 = FREE
  :: running == 0 && byte1 == FREE && !DEAD(writer_pid) -> break
  od
}

init {
  atomic {
    alive[1] = 1; attached = 1;
    run Writer(1, 1); run Writer(2, 0);
#ifdef PID_REUSE
    run Writer(1, 0);
#else
    run Writer(3, 0);
#endif
#ifdef OLD_CONTENDER
    run OldContender();
#endif
#ifndef NO_LOCKS
    run Reader()
#endif
  }
}
