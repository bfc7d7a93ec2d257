//! One client of a channel, as the other bridge knows it.
use zenoh::liveliness::LivelinessToken;
use zenoh::{Session, Wait as _};

use crate::wire::Ask;
use crate::{clock, keys};

pub(super) struct Visit {
    session: u64,
    /// Of its last request.
    number: u64,
    /// They go with the first one.
    metadata: Option<Vec<u8>>,
    /// The other bridge forgets the client when this is dropped, or out of reach.
    _token: LivelinessToken,
}

impl Visit {
    pub(super) fn begin(
        engine: &Session,
        offerer: &str,
        stream: &str,
        metadata: Option<&[u8]>,
    ) -> zenoh::Result<Visit> {
        let session = clock::unlike();
        let token = engine.liveliness().declare_token(keys::client_token(session, offerer, stream)).wait()?;
        Ok(Visit { session, number: 0, metadata: metadata.map(<[u8]>::to_vec), _token: token })
    }

    pub(super) fn next(&mut self, length: u64, largest: u64) -> Ask {
        self.number += 1;
        Ask { session: self.session, number: self.number, largest, length, metadata: self.metadata.take() }
    }
}
