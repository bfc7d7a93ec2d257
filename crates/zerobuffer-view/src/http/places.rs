//! The connections that are open, and which of them has to go where one more comes.
use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What a connection is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its request, or an answer of one piece.
    Brief,
    /// An answer of many pieces, none of which it has asked for yet.
    Silent,
    /// Pictures.
    Watching,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// The oldest one comes first.
    open: BTreeMap<u64, (Stage, Weak<TcpStream>)>,
}

impl Table {
    /// Ends the oldest connection of a stage, if there is one.
    fn let_go(&mut self, stage: Stage) -> bool {
        let oldest = self.open.iter().find(|(_, (of, _))| *of == stage).map(|(number, _)| *number);
        let Some((_, stream)) = oldest.and_then(|number| self.open.remove(&number)) else { return false };
        log::debug!("a client that asks for nothing gives its place to another one");
        if let Some(stream) = stream.upgrade() {
            // One that has ended already is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
        true
    }

    fn count(&self, is: impl Fn(Stage) -> bool) -> usize {
        self.open.values().filter(|(stage, _)| is(*stage)).count()
    }
}

/// Places for so many connections that ask, and for as many that watch.
///
/// A request is read, and a short answer given, within milliseconds. So the oldest of the
/// connections that do this says nothing or takes nothing. The next one gets its place: silence
/// stops nobody.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    table: Mutex<Table>,
}

impl Places {
    pub(super) fn new(most: usize) -> Places {
        Places { most, table: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection that was just opened.
    pub(super) fn take(self: &Arc<Self>, stream: &Arc<TcpStream>) -> Place {
        let mut table = self.lock();
        if table.count(|stage| stage == Stage::Brief) >= self.most {
            table.let_go(Stage::Brief);
        }
        let number = table.next;
        table.next += 1;
        table.open.insert(number, (Stage::Brief, Arc::downgrade(stream)));
        Place { number, places: Arc::clone(self) }
    }
}

/// The place of one connection, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    places: Arc<Places>,
}

impl Place {
    /// Goes over to those that watch; `false` if there are too many, or if this one was let go.
    pub(super) fn watch(&self) -> bool {
        let mut table = self.places.lock();
        let is_full = table.count(|stage| stage != Stage::Brief) >= self.places.most;
        if is_full && !table.let_go(Stage::Silent) {
            return false;
        }
        table.open.get_mut(&self.number).map(|(stage, _)| *stage = Stage::Silent).is_some()
    }

    /// It has asked for a piece.
    pub(super) fn heard(&self) {
        if let Some((stage, _)) = self.places.lock().open.get_mut(&self.number) {
            *stage = Stage::Watching;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    struct Pair {
        client: TcpStream,
        _server: Arc<TcpStream>,
        place: Place,
    }

    impl Pair {
        fn new(places: &Arc<Places>, listener: &TcpListener) -> Pair {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            let server = Arc::new(listener.accept().unwrap().0);
            Pair { client, place: places.take(&server), _server: server }
        }

        fn is_open(&self) -> bool {
            (&self.client).read(&mut [0]).is_err()
        }
    }

    fn open(pairs: &[Pair]) -> Vec<bool> {
        pairs.iter().map(Pair::is_open).collect()
    }

    #[test]
    fn the_oldest_that_says_nothing_gives_its_place() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let places = Arc::new(Places::new(2));
        let mut pairs: Vec<Pair> = (0..2).map(|_| Pair::new(&places, &listener)).collect();
        assert_eq!(open(&pairs), [true, true]);
        pairs.push(Pair::new(&places, &listener));
        assert_eq!(open(&pairs), [false, true, true]);
        assert!(!pairs[0].place.watch(), "it was let go");
        // One that watches leaves its place to those that ask.
        assert!(pairs[1].place.watch());
        pairs.push(Pair::new(&places, &listener));
        assert_eq!(open(&pairs), [false, true, true, true]);
    }

    #[test]
    fn of_those_that_watch_only_silent_ones_go() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let places = Arc::new(Places::new(2));
        let watch = || {
            let pair = Pair::new(&places, &listener);
            let is_taken = pair.place.watch();
            (pair, is_taken)
        };
        let (first, second) = (watch(), watch());
        assert!(first.1 && second.1);
        second.0.place.heard();
        let mut third = watch();
        assert_eq!((first.0.is_open(), second.0.is_open(), third.0.is_open()), (false, true, true));
        third.0.place.heard();
        assert!(!watch().1, "both have asked for pictures");
        // Those that go leave their place.
        drop(third);
        third = watch();
        assert!(third.1);
        // And requests have theirs all the time.
        assert!(Pair::new(&places, &listener).is_open());
    }
}
