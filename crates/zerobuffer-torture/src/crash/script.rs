//! Which process a run ends, and what that process does.

/// Which process dies, and in the middle of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// A writer: attach, frames, close.
    Writer,
    /// The same behind a writer that has died in the middle of something.
    Attach,
    /// The same behind one that has died between a jump and its frame.
    Retract,
    /// A writer in legacy form, in which it finds a frame of another implementation.
    Legacy,
    /// The same behind one that has died in the middle of something.
    LegacyAttach,
    /// A reader: creation, frames, close.
    Reader,
    /// The same in the place of a dead reader whose writer is still attached.
    TakeOver,
    /// A reader whose writer dies in the middle of something.
    Repair,
    /// A reader that finds a frame of another implementation, and then a writer that keeps to
    /// legacy form.
    LegacyReader,
    /// The same whose writer dies between a charge and its frame.
    LegacyRepair,
    /// A clean-up after a dead reader.
    Clean,
    /// A channel's client: connect, requests, close.
    Client,
    /// The same behind a client that has died in the middle of something.
    NextClient,
    /// The same at a server of several: question, a channel of its own, and the same there.
    Entrant,
    /// A channel's server: start, requests and answers, stop.
    Server,
    /// The same in the place of a dead server whose client is still connected.
    NextServer,
}

impl Script {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Attach => "attach",
            Self::Retract => "retract",
            Self::Legacy => "legacy",
            Self::LegacyAttach => "legacy-attach",
            Self::Reader => "reader",
            Self::TakeOver => "takeover",
            Self::Repair => "repair",
            Self::LegacyReader => "legacy-reader",
            Self::LegacyRepair => "legacy-repair",
            Self::Clean => "clean",
            Self::Client => "client",
            Self::NextClient => "next-client",
            Self::Entrant => "entrant",
            Self::Server => "server",
            Self::NextServer => "next-server",
        }
    }

    pub(super) fn victim(self) -> &'static str {
        match self {
            Self::Writer | Self::Attach | Self::Retract => "writer",
            Self::Legacy | Self::LegacyAttach => "legacy-writer",
            Self::Reader | Self::TakeOver | Self::Repair => "reader",
            Self::LegacyReader | Self::LegacyRepair => "legacy-reader",
            Self::Clean => "clean",
            Self::Client | Self::NextClient | Self::Entrant => "client",
            Self::Server | Self::NextServer => "server",
        }
    }
}
