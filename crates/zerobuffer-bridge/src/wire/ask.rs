//! What two bridges say to each other about a channel: terms, requests and failures. A response is
//! its bytes and nothing else.
use serde::{Deserialize, Serialize};
use zerobuffer::Error;
use zerobuffer::duplex::HandlerError;

use super::{Hop, In, MAGIC, MAX_HOPS, MAX_METADATA, Refused, VERSION};

const ASK: usize = 48;
const TERMS: usize = 40;
/// Bytes of a failure on the network.
const MOST_TROUBLE: usize = 512 * 1024;
/// Bytes of each of its texts. A control character takes six on the network, as `\u0001`.
const MOST_TEXT: usize = 28 * 1024;

/// What precedes a request, as the attachment of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// One client of the channel, from its coming to its going.
    pub(crate) session: u64,
    /// 1, 2, 3, … within a session.
    pub(crate) number: u64,
    /// Bytes of the largest response that the client's ring takes.
    pub(crate) largest: u64,
    /// Bytes of the request.
    pub(crate) length: u64,
    /// The client's, with its first request.
    pub(crate) metadata: Option<Vec<u8>>,
}

impl Ask {
    /// Bytes of the longest.
    pub(crate) const MOST: usize = ASK + MAX_METADATA;

    /// Bytes that it keeps in memory, with its payload.
    pub(crate) fn weight(&self) -> u64 {
        self.length.saturating_add(self.metadata.as_ref().map_or(0, Vec::len) as u64)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = start(4);
        let present = u64::from(self.metadata.is_some());
        for number in [self.session, self.number, self.largest, self.length, present] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(self.metadata.as_deref().unwrap_or_default());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Ask, Refused> {
        let mut from = In(bytes);
        if bytes.len() > Self::MOST || from.start(ASK)? != 4 {
            return Err(Refused("a message that is no request".to_owned()));
        }
        let (session, number) = (from.number()?, from.number()?);
        let (largest, length, present) = (from.number()?, from.number()?, from.number()?);
        if present == 0 {
            from.end()?;
        }
        let metadata = (present != 0).then(|| from.0.to_vec());
        Ok(Ask { session, number, largest, length, metadata })
    }
}

/// What the asking side has to know of the server's request buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Bytes of its ring.
    pub(crate) ring: u64,
    /// Bytes of its metadata block.
    pub(crate) metadata: u64,
    /// Bytes of the largest request that the offering bridge takes.
    pub(crate) largest: u64,
    /// The server takes several clients at the same time.
    pub(crate) several: bool,
    /// The channels that requests go through, in order.
    pub(crate) path: Vec<Hop>,
}

impl Terms {
    /// Bytes of the longest.
    pub(crate) const MOST: usize = TERMS + MAX_HOPS * size_of::<Hop>();

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = start(if self.several { 6 } else { 5 });
        for number in [self.ring, self.metadata, self.largest, self.path.len() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        self.path.iter().for_each(|hop| bytes.extend_from_slice(&hop.to_le_bytes()));
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Terms, Refused> {
        let mut from = In(bytes);
        let several = match from.start(TERMS)? {
            5 => false,
            6 => true,
            _ => return Err(Refused("a message that is no offer's terms".to_owned())),
        };
        let (ring, metadata, largest) = (from.number()?, from.number()?, from.number()?);
        let hops = from.number()?;
        if hops > MAX_HOPS as u64 {
            return Err(Refused(format!("terms with {hops} hops; {MAX_HOPS} are possible")));
        }
        let path = (0..hops).map(|_| from.array().map(u128::from_le_bytes)).collect::<Result<_, _>>()?;
        from.end().map(|()| Terms { ring, metadata, largest, several, path })
    }
}

fn start(kind: u8) -> Vec<u8> {
    [&MAGIC[..], &[VERSION, kind, 0, 0]].concat()
}

/// Why a request has no response, for its client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Trouble {
    kind: String,
    message: String,
    detail: String,
    /// Bytes of a response that does not fit, and of the largest one that does.
    size: Option<u64>,
    max: Option<u64>,
}

impl Trouble {
    pub(crate) fn new(kind: &str, message: impl Into<String>) -> Trouble {
        Trouble { kind: kind.to_owned(), message: message.into(), ..Trouble::default() }
    }

    /// The server serves others, and has closed the channel of this client.
    pub(crate) fn closed() -> Trouble {
        Trouble::new("closed", "the server has closed the channel of this client: connect anew")
    }

    pub(crate) fn too_large(size: u64, max: u64) -> Trouble {
        let message = format!("a response of {size} bytes; the client's ring takes {max}");
        Trouble { size: Some(size), max: Some(max), ..Trouble::new("too-large", message) }
    }

    /// What a client's call has ended with.
    pub(crate) fn of(error: Error) -> Trouble {
        match error {
            Error::Remote { kind, message, detail, .. } => {
                Trouble { kind, message, detail, ..Trouble::default() }
            }
            Error::ResponseTooLarge { size, max, .. } => Trouble::too_large(size, max),
            error => Trouble::new("bridge", error.to_string()),
        }
    }

    /// The same for the client of another channel.
    pub(crate) fn into_error(self, channel: &str, request: u64) -> zerobuffer::duplex::BoxError {
        match (self.size, self.max) {
            (Some(size), Some(max)) => {
                Error::ResponseTooLarge { name: channel.to_owned(), request, size, max }.into()
            }
            _ => HandlerError::new(self.kind, self.message).detail(self.detail).into(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let cut = |text: &str| text.get(..text.floor_char_boundary(MOST_TEXT)).unwrap_or_default().to_owned();
        let short = Trouble {
            kind: cut(&self.kind),
            message: cut(&self.message),
            detail: cut(&self.detail),
            ..self.clone()
        };
        serde_json::to_vec(&short).unwrap_or_default()
    }

    /// Bytes that are nothing of the kind are a failure, too.
    pub(crate) fn decode(bytes: &zenoh::bytes::ZBytes) -> Trouble {
        let text = (bytes.len() <= MOST_TROUBLE).then(|| bytes.to_bytes());
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_else(|| {
            Trouble::new("bridge", "the other bridge says nothing that this one understands")
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for metadata in [None, Some(vec![]), Some(vec![7; 100])] {
            let ask = Ask { session: 1, number: 2, largest: 3, length: 4, metadata };
            assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
        }
        for several in [false, true] {
            let terms = Terms { ring: 1, metadata: 2, largest: 3, several, path: vec![4; MAX_HOPS] };
            assert_eq!(terms.encode().len(), Terms::MOST);
            assert_eq!(Terms::decode(&terms.encode()), Ok(terms));
        }
        let trouble = Trouble { detail: "\"\n".to_owned(), ..Trouble::too_large(9, 8) };
        assert_eq!(Trouble::decode(&trouble.encode().into()), trouble);
    }

    #[test]
    fn what_is_cut_or_too_long_is_refused() {
        let ask = Ask { session: 1, number: 1, largest: 1, length: 1, metadata: None }.encode();
        let terms = Terms { path: vec![1; 2], ..Terms::default() }.encode();
        (0..ask.len()).for_each(|cut| assert!(Ask::decode(&ask[..cut]).is_err(), "{cut}"));
        (0..terms.len()).for_each(|cut| assert!(Terms::decode(&terms[..cut]).is_err(), "{cut}"));
        assert!(Ask::decode(&[&ask[..], &[0]].concat()).is_err(), "bytes behind it");
        let mut many = terms.clone();
        many[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Terms::decode(&many).unwrap_err().0.contains("hops"));
        let long =
            Ask { session: 1, number: 1, largest: 1, length: 1, metadata: Some(vec![0; MAX_METADATA + 1]) };
        assert!(Ask::decode(&long.encode()).is_err());
    }

    #[test]
    fn a_failure_of_any_length_is_told() {
        let long = Trouble::new("kind", "\u{1}\u{e9}".repeat(1 << 20)).encode();
        assert!(long.len() <= MOST_TROUBLE, "{}", long.len());
        assert_eq!(Trouble::decode(&long.into()).kind, "kind");
        // The longest there is, in all three places.
        let text = "\u{1}".repeat(1 << 20);
        let long = Trouble { detail: text.clone(), ..Trouble::too_large(u64::MAX, u64::MAX) };
        let long = Trouble { kind: text.clone(), message: text.clone(), ..long }.encode();
        assert!(long.len() <= MOST_TROUBLE, "{}", long.len());
        let read = Trouble::decode(&long.into());
        for read in [read.kind, read.message, read.detail] {
            assert_eq!(read, text[..MOST_TEXT]);
        }
        for bytes in [&b""[..], b"{", b"[1]", &[0xff; 100]] {
            assert_eq!(Trouble::decode(&bytes.to_vec().into()).kind, "bridge");
        }
    }
}
