//! What is measured: kinds of measurement, frame sizes, systems.

use std::fmt;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// One kind of measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// One way at full speed; the sender copies each frame in.
    Stream,
    /// One way at full speed; the sender writes 8 bytes into memory of the system.
    Loan,
    /// There and back, the next request follows at once. The server copies the request into its
    /// answer.
    Trip,
    /// There and back, 1,000 times a second.
    Paced,
    /// One way, 60 times a second, copied in: what it costs.
    Fps,
    /// From nothing to the first frame.
    Start,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Stream, Self::Loan, Self::Trip, Self::Paced, Self::Fps, Self::Start];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Loan => "loan",
            Self::Trip => "trip",
            Self::Paced => "paced",
            Self::Fps => "fps",
            Self::Start => "start",
        }
    }

    pub(crate) fn parse(word: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|kind| kind.name() == word) {
            Some(kind) => Ok(kind),
            None => bail!("no kind `{word}`; there are {}", Self::ALL.map(Self::name).join(", ")),
        }
    }

    /// Both directions are used.
    pub(crate) fn is_round_trip(self) -> bool {
        matches!(self, Self::Trip | Self::Paced)
    }

    /// Frames a second, if not as many as possible.
    pub(crate) fn rate(self) -> Option<u32> {
        match self {
            Self::Paced => Some(1000),
            Self::Fps => Some(60),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A frame size with the number of frames that a ring holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) bytes: usize,
    pub(crate) depth: usize,
}

pub(crate) const SIZES: [Size; 6] = [
    Size { name: "64", title: "64 B", bytes: 64, depth: 1024 },
    Size { name: "4k", title: "4 KiB", bytes: 4096, depth: 256 },
    Size { name: "64k", title: "64 KiB", bytes: 65_536, depth: 64 },
    Size { name: "1m", title: "1 MiB", bytes: 1 << 20, depth: 8 },
    // 1920 x 1080, I420.
    Size { name: "1080p", title: "1080p", bytes: 3_110_400, depth: 8 },
    // A ring of 255 MB: far more than the caches hold.
    Size { name: "1080p-82", title: "1080p, deep ring", bytes: 3_110_400, depth: 82 },
];

pub(crate) fn size(name: &str) -> Result<Size> {
    match SIZES.into_iter().find(|size| size.name == name) {
        Some(size) => Ok(size),
        None => bail!("no size `{name}`"),
    }
}

/// How much of each frame the receiver reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Touch {
    /// The first 8 bytes.
    Head,
    /// 8 bytes of each cache line.
    Lines,
    /// Every byte.
    All,
}

impl Touch {
    pub(crate) fn parse(word: &str) -> Result<Self> {
        Ok(match word {
            "head" => Self::Head,
            "lines" => Self::Lines,
            "all" => Self::All,
            _ => bail!("no touch `{word}`; there are head, lines, all"),
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Lines => "lines",
            Self::All => "all",
        }
    }
}

/// What the ends of a system are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// This program.
    Rust,
    /// Scripts, in the private Python environment of that name.
    Python(&'static str),
    /// A program of that name, which somebody else has built.
    Program(&'static str),
}

impl Ends {
    /// What somebody else has to make, and its name.
    pub(crate) fn need(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Rust => None,
            Self::Python(name) => Some(("python", name)),
            Self::Program(name) => Some(("program", name)),
        }
    }
}

/// One competitor.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) ends: Ends,
    /// It has a way to write in place.
    pub(crate) loans: bool,
}

impl System {
    pub(crate) fn is_ours(&self) -> bool {
        self.name.starts_with("ours") || self.name.starts_with("py-ours")
    }
}

const fn rust(name: &'static str, title: &'static str, loans: bool) -> System {
    System { name, title, ends: Ends::Rust, loans }
}

const fn python(name: &'static str, title: &'static str, environment: &'static str, loans: bool) -> System {
    System { name, title, ends: Ends::Python(environment), loans }
}

const fn program(name: &'static str, title: &'static str) -> System {
    System { name, title, ends: Ends::Program(name), loans: true }
}

pub(crate) const SYSTEMS: &[System] = &[
    rust("ours", "ZeroBuffer (adaptive, the default)", true),
    rust("ours-block", "ZeroBuffer (block)", true),
    rust("ours-spin", "ZeroBuffer (spin)", true),
    rust("ours-whole", "ZeroBuffer (whole ring, no early jumps)", false),
    rust("ours-tokio", "ZeroBuffer, futures on tokio", false),
    rust("ours-call", "ZeroBuffer, duplex call", false),
    program("ours-c", "ZeroBuffer in C"),
    program("ours-cpp", "ZeroBuffer in C++"),
    program("ours-cs", "ZeroBuffer in C# (mono)"),
    rust("iceoryx2", "iceoryx2 crate, polled", true),
    rust("iceoryx2-event", "iceoryx2 crate, event", true),
    rust("iceoryx2-tokio", "iceoryx2 crate, event on tokio", false),
    rust("socket", "Unix socket", false),
    rust("floor", "floor (polled ring, only the copy)", true),
    python("py-ours", "ZeroBuffer Python, write_frame", "ours", false),
    python("py-ours-buffer", "ZeroBuffer Python, get_frame_buffer", "ours", true),
    python("py-ours-duplex", "ZeroBuffer Python, duplex channel", "ours", false),
    python("py-ours-call", "ZeroBuffer Python, Client.call", "ours", false),
    python("py-ours-async", "ZeroBuffer Python, async for", "ours", false),
    python("py-ours-uvloop", "ZeroBuffer Python, async for with uvloop", "ours", false),
    python("py-old", "zerobuffer-ipc 1.3.0, write_frame", "old", false),
    python("py-old-buffer", "zerobuffer-ipc 1.3.0, get_frame_buffer", "old", true),
    python("py-old-duplex", "zerobuffer-ipc 1.3.0, duplex channel", "old", false),
    python("py-iceoryx2", "iceoryx2 Python, polled", "peers", true),
    python("py-iceoryx2-event", "iceoryx2 Python, event", "peers", true),
    python("py-zmq", "pyzmq, ipc", "peers", false),
    python("py-pipe", "multiprocessing Pipe", "peers", false),
    python("py-queue", "multiprocessing Queue", "peers", false),
    python("py-shm", "multiprocessing shared_memory and semaphores", "peers", true),
];

pub(crate) fn system(name: &str) -> Result<&'static System> {
    match SYSTEMS.iter().find(|system| system.name == name) {
        Some(system) => Ok(system),
        None => bail!("no system `{name}`"),
    }
}
