//! What a caller chooses when creating a buffer or connecting to one.

use std::{str::FromStr, time::Duration};

/// The longest sleep before an endpoint checks for a dead peer, a lost wake-up or an interrupt.
pub const WAIT_SLICE: Duration = Duration::from_millis(50);

/// How an endpoint waits for the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WaitStrategy {
    /// Sleep at once: lowest CPU use, about ten microseconds per wake-up.
    Block,
    /// Spin for some microseconds, yielding, only while recent waits were that short; otherwise
    /// sleep at once.
    #[default]
    Adaptive,
    /// Never sleep: one core at 100 % while waiting.
    Spin,
}

/// What a writer does when the ring has no room for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum FullRingPolicy {
    /// Wait for the reader, at most the write timeout, then fail with
    /// [`Error::Full`](crate::Error::Full).
    #[default]
    Block,
    /// Fail at once with [`Error::Full`](crate::Error::Full).
    Refuse,
    /// Drop the new frame, count it, and go on.
    DropNewest,
}

/// Sizes and behaviour of a buffer; given by the reader, which creates it.
///
/// ```
/// use zerobuffer::{BufferConfig, WaitStrategy};
/// let config = BufferConfig::ring(8 * 1024 * 1024).mode(0o660).wait(WaitStrategy::Block);
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferConfig {
    pub(crate) metadata_size: u64,
    pub(crate) payload_size: u64,
    pub(crate) mode: Option<u32>,
    pub(crate) wait: WaitStrategy,
    pub(crate) prefault: bool,
    pub(crate) free_sequences: bool,
    pub(crate) global: bool,
}

impl Default for BufferConfig {
    /// 1024 bytes of metadata, 1 MiB of ring, mode 0600, adaptive waiting.
    fn default() -> Self {
        Self::ring(1024 * 1024)
    }
}

impl BufferConfig {
    /// A ring of so many bytes, rounded up to a multiple of 64; it may not be 0. All else is as in
    /// [`Self::default`].
    ///
    /// A frame takes 16 bytes more than its payload, rounded up to a multiple of 16. The largest
    /// possible frame is the ring less 16 bytes. A ring of P bytes holds P / (that number) frames
    /// of one size that are unread or held.
    #[must_use]
    pub fn ring(bytes: u64) -> Self {
        Self {
            metadata_size: 1024,
            payload_size: bytes,
            mode: None,
            wait: WaitStrategy::default(),
            prefault: true,
            free_sequences: false,
            global: false,
        }
    }

    /// A metadata block of so many bytes, rounded up to a multiple of 64: 1024 by default. 8 of
    /// them hold the length. It may be 0: then the writer can set no metadata.
    #[must_use]
    pub fn metadata(mut self, bytes: u64) -> Self {
        self.metadata_size = bytes;
        self
    }

    /// Permission bits of the shared objects, whatever the umask: 0660 for a group, 0666 for
    /// everybody. A peer needs read and write permission. The default is what the environment
    /// variable `ZEROBUFFER_MODE` says in octal digits, else 0600.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// How the reader waits for frames; [`WaitStrategy::Adaptive`] by default.
    #[must_use]
    pub fn wait(mut self, wait: WaitStrategy) -> Self {
        self.wait = wait;
        self
    }

    /// Whether the ring's pages are mapped when the buffer is created (the default) instead of at
    /// first touch.
    #[must_use]
    pub fn prefault(mut self, on: bool) -> Self {
        self.prefault = on;
        self
    }

    /// Whether processes of other sessions can find the buffer. Windows alone has sessions. There a
    /// service and a desktop program, or two users' programs, meet under a global name only.
    /// Creating one needs the privilege `SeCreateGlobalPrivilege`, which services and
    /// administrators have. Elsewhere every name is global, and this changes nothing.
    #[must_use]
    pub fn global(mut self, on: bool) -> Self {
        self.global = on;
        self
    }

    /// Whether the writer chooses the sequence numbers, as a duplex server does for its answers.
    #[must_use]
    pub(crate) fn free_sequences(mut self, on: bool) -> Self {
        self.free_sequences = on;
        self
    }
}

/// Whose buffers a writer attaches to. A buffer's maker reads what is written, and can write back.
///
/// ```
/// use zerobuffer::{Owner, WriterConfig};
/// let config = WriterConfig::default().owner(Owner::User(1000));
/// assert_eq!("any".parse(), Ok(Owner::Any));
/// # let _ = config;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Owner {
    /// Those of root and of the process's own user. The environment variable `ZEROBUFFER_OWNER` can
    /// widen this default: to `any`, or to the number of one more user.
    #[default]
    Trusted,
    /// Those of one more user, by number.
    User(u32),
    /// Anybody's: the name alone decides who gets the frames.
    Any,
}

/// A text that is no [`Owner`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no owner: use 'trusted', 'any' or the number of a user")]
pub struct InvalidOwner {
    text: String,
}

impl FromStr for Owner {
    type Err = InvalidOwner;

    /// `trusted`, `any`, or the number of a user.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "trusted" => Ok(Self::Trusted),
            "any" => Ok(Self::Any),
            _ => text.parse().map(Self::User).map_err(|_| InvalidOwner { text: text.to_owned() }),
        }
    }
}

/// Behaviour of a writer.
///
/// ```
/// use std::time::Duration;
/// use zerobuffer::{FullRingPolicy, WriterConfig};
/// let config = WriterConfig::default()
///     .connect_timeout(Duration::from_secs(10))
///     .full_ring(FullRingPolicy::DropNewest);
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterConfig {
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) wait: WaitStrategy,
    pub(crate) full_ring: FullRingPolicy,
    pub(crate) owner: Owner,
    pub(crate) whole_ring: bool,
}

impl Default for WriterConfig {
    /// 5 s write timeout, no waiting for a reader, adaptive waiting, block on a full ring.
    fn default() -> Self {
        Self {
            write_timeout: Some(Duration::from_secs(5)),
            connect_timeout: Some(Duration::ZERO),
            wait: WaitStrategy::default(),
            full_ring: FullRingPolicy::default(),
            owner: Owner::default(),
            whole_ring: false,
        }
    }
}

impl WriterConfig {
    /// How long one write waits for space; `None` waits for ever. 5 s by default.
    #[must_use]
    pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.write_timeout = timeout.into();
        self
    }

    /// How long [`Writer::connect_with`](crate::Writer::connect_with) waits for a reader to create
    /// the buffer; `None` waits for ever. By default it does not wait.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.connect_timeout = timeout.into();
        self
    }

    /// How the writer waits for space; [`WaitStrategy::Adaptive`] by default.
    #[must_use]
    pub fn wait(mut self, wait: WaitStrategy) -> Self {
        self.wait = wait;
        self
    }

    /// What happens when the ring is full; [`FullRingPolicy::Block`] by default.
    #[must_use]
    pub fn full_ring(mut self, policy: FullRingPolicy) -> Self {
        self.full_ring = policy;
        self
    }

    /// Whose buffers it attaches to; [`Owner::Trusted`] by default.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }

    /// Whether frames go through the whole ring in turn. Then each stays readable for observers
    /// ([`Tap`](crate::observe::Tap)) until the ring has been written nearly once more: for 13/14
    /// of a lap less one frame. Off by default: a place that is free again and
    /// still in the processor's cache is then used first. What the ring has room for is the same.
    #[must_use]
    pub fn whole_ring(mut self, on: bool) -> Self {
        self.whole_ring = on;
        self
    }
}
