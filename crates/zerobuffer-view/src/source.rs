//! A stream for one client: the newest frame. It goes on through ends of streams and new ones of
//! the same name.
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use zerobuffer::observe::Tap;

use crate::feed::{Feed, Feeds, Found, Hold};
use crate::picture::Picture;

/// Looks at one stream for one client.
#[derive(Debug)]
pub(crate) struct Source {
    feed: Arc<Feed>,
    hold: Arc<Hold>,
    /// How many frames had come with the one that was seen last.
    last: u64,
}

/// A frame that was seen. A client that keeps it keeps its memory.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) picture: Held,
    /// Frames since the last one that was seen.
    pub(crate) missed: u64,
}

/// A frame that this client holds, until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    picture: Arc<Picture>,
    hold: Arc<Hold>,
}

impl std::ops::Deref for Held {
    type Target = Picture;

    fn deref(&self) -> &Picture {
        &self.picture
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.hold.set(0);
    }
}

/// What one look has found.
#[derive(Debug)]
pub(crate) enum Look {
    Frame(Seen),
    /// No frame that is newer.
    Nothing,
    /// There is no such stream, for this reason.
    Gone(String),
}

impl Source {
    /// For a stream that may come later.
    pub(crate) fn new(feeds: &Feeds, name: &str) -> Source {
        let feed = feeds.of(name);
        Source { hold: feed.hold(), feed, last: 0 }
    }

    /// For a stream that is there.
    pub(crate) fn open(feeds: &Feeds, name: &str) -> Result<Source, String> {
        Tap::open(name).map_err(|why| why.to_string())?;
        Ok(Source::new(feeds, name))
    }

    /// What ends the connection that frames are sent on, if a frame is held for too long.
    pub(crate) fn connection(&self, stream: Arc<TcpStream>) {
        self.hold.connection(stream);
    }

    /// Waits for a frame that is newer than the last one.
    pub(crate) fn newer(&mut self, patience: Duration) -> Look {
        match self.feed.newer(self.last, patience) {
            Found::Picture(picture) => {
                let before = std::mem::replace(&mut self.last, picture.count);
                let missed = if before == 0 { 0 } else { picture.count.saturating_sub(before + 1) };
                self.hold.set(picture.count);
                let picture = Held { picture, hold: Arc::clone(&self.hold) };
                Look::Frame(Seen { picture, missed })
            }
            Found::Nothing => Look::Nothing,
            Found::Gone(why) => Look::Gone(why),
        }
    }
}
