//! Recordings read from their start to their end: the files one after the other, as one stream of
//! messages.
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcap::records::Record;
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
use mcap::{McapError, parse_record};

use crate::commands::record::file::{METADATA, METADATA_HEX};
use crate::exit::Exit;
use crate::fail::Fail;

/// The largest record that is taken into memory: what a file claims is not allocated beyond it.
const LARGEST: usize = 1 << 30;

/// What a message belongs to.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) topic: Arc<str>,
    /// How its messages are encoded.
    pub(super) encoding: String,
    /// The metadata block that the recorded buffer had.
    pub(super) metadata: Vec<u8>,
}

/// A message; its bytes are where the caller wants them.
pub(super) struct Message {
    pub(super) channel: Arc<Channel>,
    pub(super) log_time: u64,
}

pub(super) struct Recordings {
    paths: Vec<PathBuf>,
    coming: VecDeque<PathBuf>,
    current: Option<Current>,
    messages: u64,
    /// Of the messages so far.
    topics: BTreeSet<Arc<str>>,
}

struct Current {
    path: PathBuf,
    file: File,
    read: u64,
    reader: LinearReader,
    channels: HashMap<u16, Arc<Channel>>,
}

impl Recordings {
    /// Files, and folders whose files are taken in the order of their names.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Recordings, Fail> {
        let mut files = Vec::new();
        for path in paths {
            if path.is_dir() {
                let failed =
                    |error: io::Error| Fail::io(format_args!("cannot read {}", path.display()), &error);
                let mut inside = Vec::new();
                for entry in std::fs::read_dir(path).map_err(failed)? {
                    let entry = entry.map_err(failed)?.path();
                    if entry.extension().is_some_and(|end| end == "mcap") {
                        inside.push(entry);
                    }
                }
                if inside.is_empty() {
                    return Err(Fail::new(Exit::Input, format!("{} holds no .mcap file", path.display())));
                }
                inside.sort();
                files.append(&mut inside);
            } else {
                files.push(path.clone());
            }
        }
        let mut recordings = Recordings {
            coming: files.iter().cloned().collect(),
            paths: files,
            current: None,
            messages: 0,
            topics: BTreeSet::new(),
        };
        // What cannot be opened is reported before anything is played.
        for path in &recordings.paths {
            drop(Current::open(path)?);
        }
        recordings.advance()?;
        Ok(recordings)
    }

    /// Starts again at the first message.
    pub(super) fn rewind(&mut self) -> Result<(), Fail> {
        self.coming = self.paths.iter().cloned().collect();
        self.advance()
    }

    fn advance(&mut self) -> Result<(), Fail> {
        self.current = self.coming.pop_front().map(|path| Current::open(&path)).transpose()?;
        Ok(())
    }

    /// The next message, its bytes in `data`; `None` at the end of the last file. An error comes
    /// behind every message in front of it.
    pub(super) fn next(&mut self, data: &mut Vec<u8>) -> Result<Option<Message>, Fail> {
        while let Some(current) = &mut self.current {
            match current.next(data) {
                Ok(Some(message)) => {
                    self.messages += 1;
                    if !self.topics.contains(&message.channel.topic) {
                        self.topics.insert(Arc::clone(&message.channel.topic));
                    }
                    return Ok(Some(message));
                }
                Ok(None) => self.advance()?,
                Err(fail) => return Err(current.explain(fail, self.messages)),
            }
        }
        Ok(None)
    }

    /// Why none of the messages up to the end was a frame to play.
    pub(super) fn without_frames(&self, only: &[String]) -> Fail {
        let files: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
        let hold = format!("{} {}", files.join(", "), if files.len() == 1 { "holds" } else { "hold" });
        let topics: Vec<&str> = self.topics.iter().map(AsRef::as_ref).collect();
        let words = if topics.is_empty() {
            format!("{hold} no frames: no writer sent any while it was recorded")
        } else if only.is_empty() {
            format!("{hold} messages of 0 bytes alone, and no frame has 0 bytes")
        } else {
            format!("{hold} no frames of {}, but of: {}", only.join(", "), topics.join(", "))
        };
        Fail::new(Exit::Input, words)
    }
}

/// Why a file cannot be read on.
enum Broken {
    Format(McapError),
    File(io::Error),
}

impl Current {
    fn open(path: &Path) -> Result<Current, Fail> {
        let failed =
            |error: io::Error| Fail::io(format_args!("cannot open recording {}", path.display()), &error);
        let file = File::open(path).map_err(failed)?;
        let options = LinearReaderOptions::default().with_record_length_limit(LARGEST);
        Ok(Current {
            path: path.to_owned(),
            file,
            read: 0,
            reader: LinearReader::new_with_options(options),
            channels: HashMap::new(),
        })
    }

    fn next(&mut self, data: &mut Vec<u8>) -> Result<Option<Message>, Broken> {
        while let Some(event) = self.reader.next_event() {
            match event.map_err(Broken::Format)? {
                LinearReadEvent::ReadRequest(wanted) => {
                    // Steps of a bounded size, whatever the file claims to hold.
                    let room = self.reader.insert(wanted.clamp(1, 1 << 20));
                    let count = loop {
                        match self.file.read(room) {
                            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                            other => break other.map_err(Broken::File)?,
                        }
                    };
                    self.reader.notify_read(count);
                    self.read += count as u64;
                }
                LinearReadEvent::Record { data: body, opcode } => {
                    match parse_record(opcode, body).map_err(Broken::Format)? {
                        Record::Channel(channel) => {
                            let metadata = match channel.metadata.get(METADATA_HEX) {
                                Some(hex) => bytes_of(hex),
                                None => channel.metadata.get(METADATA).map(|text| text.clone().into_bytes()),
                            };
                            let metadata = metadata.unwrap_or_default();
                            let (topic, encoding) = (channel.topic.into(), channel.message_encoding);
                            self.channels.insert(channel.id, Arc::new(Channel { topic, encoding, metadata }));
                        }
                        Record::Message { header, data: bytes } => {
                            let channel = self.channels.get(&header.channel_id).ok_or(Broken::Format(
                                McapError::UnknownChannel(header.sequence, header.channel_id),
                            ))?;
                            data.clear();
                            data.extend_from_slice(&bytes);
                            let channel = Arc::clone(channel);
                            return Ok(Some(Message { channel, log_time: header.log_time }));
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(None)
    }

    fn explain(&self, broken: Broken, messages: u64) -> Fail {
        let path = self.path.display();
        let error = match broken {
            Broken::File(error) | Broken::Format(McapError::Io(error)) => {
                return Fail::io(format_args!("cannot read {path}"), &error);
            }
            Broken::Format(error) => error,
        };
        let words = match error {
            McapError::BadMagic => format!("{path} is no MCAP recording"),
            McapError::UnexpectedEof | McapError::UnexpectedEoc => format!(
                "{path} is cut short at byte {}, as a recorder leaves it that was killed: the {messages} messages before that were played",
                self.read
            ),
            McapError::UnsupportedCompression(kind) => {
                format!(
                    "{path} is compressed by {kind}, which this program does not read: `mcap` decompresses it"
                )
            }
            error => format!(
                "{path} is damaged before byte {}: {error}; the {messages} messages before that were played",
                self.read
            ),
        };
        Fail::new(Exit::Input, words)
    }
}

/// The bytes that hexadecimal digits stand for.
fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}
