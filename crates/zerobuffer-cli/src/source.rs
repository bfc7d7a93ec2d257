//! Frames from an input: y4m or raw, read straight into the memory that the caller hands over.
use crate::exit::Exit;
use crate::fail::Fail;
use crate::input::Input;
use crate::text;
use crate::y4m::{FRAME, Header, MAGIC, MAX_LINE};

/// How the input is cut into frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A y4m stream; boxed because the header is large beside a number.
    Y4m(Box<Header>),
    /// Frames of this many bytes, one after the other.
    Raw(u64),
}

/// An input cut into frames.
pub(crate) struct Source {
    input: Input,
    layout: Layout,
    /// Where the first frame starts.
    start: u64,
    /// Frames handed out, for messages.
    frames: u64,
    /// The first byte of a raw frame: reading it tells a frame from the end of the input.
    lead: Option<u8>,
    /// What the first frame's FRAME line carries; all others must carry the same.
    parameters: Option<String>,
    /// A FRAME line was read, its frame not yet.
    announced: bool,
    /// Raw frames are pictures, so the first one is no y4m header.
    is_pictures: bool,
}

impl Source {
    /// Opens a y4m input and reads its header.
    pub(crate) fn y4m(mut input: Input) -> Result<Source, Fail> {
        let mut start = [0u8; MAGIC.len()];
        let got = input.fill(&mut start)?;
        let start = start.get(..got).unwrap_or_default();
        if start.is_empty() {
            return Err(bad(format!(
                "{} is empty: no y4m header came; look whether the program that feeds it failed",
                input.name()
            )));
        }
        if start != MAGIC.as_bytes() {
            return Err(bad(format!(
                "{} is not y4m: it starts with '{}' instead of '{MAGIC}'; for frames without a header use --format raw --size BYTES",
                input.name(),
                text::one_line(&String::from_utf8_lossy(start))
            )));
        }
        let mut line = start.to_vec();
        read_line(&mut input, &mut line, "header")?;
        let name = input.name().to_owned();
        let line = String::from_utf8(line)
            .map_err(|_| bad(format!("the y4m header of {name} is not UTF-8 text")))?;
        let header = Header::parse(&line)
            .map_err(|why| bad(format!("the y4m header of {name} is not usable: {why}")))?;
        let start = input.offset();
        Ok(Source::new(input, Layout::Y4m(Box::new(header)), start))
    }

    /// Takes an input as frames of `size` bytes.
    pub(crate) fn raw(input: Input, size: u64) -> Source {
        Source::new(input, Layout::Raw(size), 0)
    }

    /// Takes an input as raw pictures of `size` bytes.
    pub(crate) fn pictures(input: Input, size: u64) -> Source {
        Source { is_pictures: true, ..Source::raw(input, size) }
    }

    fn new(input: Input, layout: Layout, start: u64) -> Source {
        Source {
            input,
            layout,
            start,
            frames: 0,
            lead: None,
            parameters: None,
            announced: false,
            is_pictures: false,
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn input(&mut self) -> &mut Input {
        &mut self.input
    }

    /// Bytes of one frame.
    pub(crate) fn frame_size(&self) -> u64 {
        match &self.layout {
            Layout::Y4m(header) => header.frame_size,
            Layout::Raw(size) => *size,
        }
    }

    /// What the first frame's FRAME line carries behind `FRAME`; known once `advance` was called.
    pub(crate) fn parameters(&self) -> &str {
        self.parameters.as_deref().unwrap_or_default()
    }

    /// Goes to the next frame; `false` at the end of the input. Calling it again before `read`
    /// changes nothing.
    pub(crate) fn advance(&mut self) -> Result<bool, Fail> {
        if self.announced {
            return Ok(true);
        }
        self.announced = match &self.layout {
            Layout::Y4m(_) => self.frame_line()?,
            Layout::Raw(_) => {
                let mut lead = [0u8; 1];
                let came = self.input.fill(&mut lead)? == 1;
                self.lead = came.then_some(lead[0]);
                came
            }
        };
        Ok(self.announced)
    }

    /// Reads the frame that `advance` found into `frame`, which has its size.
    pub(crate) fn read(&mut self, frame: &mut [u8]) -> Result<(), Fail> {
        let size = frame.len();
        let lead = usize::from(self.lead.is_some());
        if let (Some(byte), Some(first)) = (self.lead.take(), frame.first_mut()) {
            *first = byte;
        }
        let rest = frame.get_mut(lead..).unwrap_or_default();
        let got = lead + self.input.fill(rest)?;
        self.announced = false;
        if got < size {
            return Err(bad(format!(
                "{} is cut short: frame {} has {got} of {size} bytes, the input ends at byte {}; the frames before it are whole",
                self.input.name(),
                self.frames,
                self.input.offset()
            )));
        }
        if self.is_pictures && self.frames == 0 && frame.starts_with(MAGIC.as_bytes()) {
            return Err(bad(format!(
                "{} is y4m: it starts with '{MAGIC}'; send it with --format y4m",
                self.input.name()
            )));
        }
        self.frames += 1;
        Ok(())
    }

    /// Starts again at the first frame.
    pub(crate) fn rewind(&mut self) -> Result<(), Fail> {
        self.announced = false;
        self.lead = None;
        self.input.seek(self.start)
    }

    /// Reads a FRAME line; `false` at the end of the input.
    fn frame_line(&mut self) -> Result<bool, Fail> {
        let number = self.frames;
        let at = self.input.offset();
        // FRAME and its line feed in one read: what nearly every line consists of.
        let mut word = [0u8; FRAME.len() + 1];
        let got = self.input.fill(&mut word)?;
        let name = self.input.name().to_owned();
        let word = word.get(..got).unwrap_or_default();
        let (keyword, behind) = match word.split_last() {
            None => return Ok(false),
            Some((last, keyword)) if got == FRAME.len() + 1 => (keyword, *last),
            Some(_) => (word, b'\n'),
        };
        if got <= FRAME.len() && FRAME.as_bytes().starts_with(word) {
            return Err(bad(format!(
                "{name} is cut short: it ends within the FRAME line of frame {number}, at byte {}",
                self.input.offset()
            )));
        }
        if keyword != FRAME.as_bytes() || !matches!(behind, b'\n' | b' ') {
            return Err(bad(format!(
                "{name} is damaged: at byte {at}, where frame {number} should start, stands '{}' instead of '{FRAME}'",
                text::one_line(&String::from_utf8_lossy(word))
            )));
        }
        let mut line = Vec::new();
        if behind == b' ' {
            line.push(b' ');
            read_line(&mut self.input, &mut line, &format!("FRAME line of frame {number}"))?;
        }
        let parameters = String::from_utf8(line)
            .map_err(|_| bad(format!("the FRAME line of frame {number} in {name} is not UTF-8 text")))?;
        match &self.parameters {
            None => self.parameters = Some(parameters),
            Some(first) if *first == parameters => {}
            Some(first) => {
                return Err(bad(format!(
                    "the FRAME line of frame {number} in {name} carries '{}' where the first one carries '{}': parameters that change from frame to frame cannot travel; pass the stream through ffmpeg (-f yuv4mpegpipe), which writes none",
                    text::excerpt(&parameters, 60),
                    text::excerpt(first, 60)
                )));
            }
        }
        Ok(true)
    }
}

/// Reads up to a line feed, which is dropped, byte by byte: a larger read would take bytes of the
/// frame.
fn read_line(input: &mut Input, line: &mut Vec<u8>, what: &str) -> Result<(), Fail> {
    let mut byte = [0u8; 1];
    while line.len() <= MAX_LINE {
        if input.fill(&mut byte)? == 0 {
            return Err(bad(format!(
                "{} is cut short: it ends within the {what}, at byte {}",
                input.name(),
                input.offset()
            )));
        }
        if byte[0] == b'\n' {
            return Ok(());
        }
        line.push(byte[0]);
    }
    Err(bad(format!("the {what} of {} has no end within {MAX_LINE} bytes: it is not y4m", input.name())))
}

fn bad(message: String) -> Fail {
    Fail::new(Exit::Input, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn input(bytes: &[u8]) -> (tempfile::NamedTempFile, Input) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let input = Input::open(file.path().to_str().unwrap()).unwrap();
        (file, input)
    }

    /// All frames of a y4m input, or the message and exit code that end it.
    fn frames(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let (_file, input) = input(bytes);
        let collect = |mut source: Source| {
            let mut frames = Vec::new();
            while source.advance()? {
                let mut frame = vec![0; source.frame_size() as usize];
                source.read(&mut frame)?;
                frames.push(frame);
            }
            Ok(frames)
        };
        Source::y4m(input).and_then(collect).map_err(|fail: Fail| {
            assert_eq!(fail.exit, Exit::Input);
            fail.line().unwrap()
        })
    }

    #[test]
    fn a_y4m_stream() {
        assert_eq!(frames(b"YUV4MPEG2 W1 H1\n").unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(
            frames(b"YUV4MPEG2 W1 H1\nFRAME\nabcFRAME\nFRA").unwrap(),
            [b"abc".to_vec(), b"FRA".to_vec()]
        );
        assert_eq!(frames(b"YUV4MPEG2 W1 H1\nFRAME Ip\nabcFRAME Ip\ndef").unwrap().len(), 2);
    }

    #[test]
    fn bad_y4m_streams() {
        let long = [b"YUV4MPEG2 X".to_vec(), vec![b'x'; 3000]].concat();
        for (bytes, part) in [
            (&b""[..], "is empty: no y4m header came"),
            (b"RIFF", "is not y4m: it starts with 'RIFF' instead of 'YUV4MPEG2'"),
            (b"YUV4MPEG2 W1", "ends within the header, at byte 12"),
            (b"YUV4MPEG2 W1\n", "it has no height"),
            (b"YUV4MPEG2 W1 H1 X\xff\n", "not UTF-8"),
            (&long, "no end within 2048 bytes"),
            (b"YUV4MPEG2 W1 H1\nFRAME\nab", "frame 0 has 2 of 3 bytes, the input ends at byte 24"),
            (b"YUV4MPEG2 W1 H1\nFRAME\nabcFRAME\n", "frame 1 has 0 of 3 bytes"),
            (b"YUV4MPEG2 W1 H1\nFRAME\nabcFRA", "within the FRAME line of frame 1"),
            (b"YUV4MPEG2 W1 H1\nFRAME\nabcFRAME", "within the FRAME line of frame 1"),
            (b"YUV4MPEG2 W1 H1\nFRAME I", "ends within the FRAME line of frame 0"),
            (b"YUV4MPEG2 W1 H1\nFRAMES\n", "stands 'FRAMES' instead"),
            (
                b"YUV4MPEG2 W1 H1\nFRAME\nabcdFRAME\n",
                "at byte 25, where frame 1 should start, stands 'dFRAME'",
            ),
            (b"YUV4MPEG2 W1 H1\nxy", "stands 'xy' instead"),
            (
                b"YUV4MPEG2 W1 H1\nFRAME It\nabcFRAME Ib\nabc",
                "carries ' Ib' where the first one carries ' It'",
            ),
        ] {
            let message = frames(bytes).unwrap_err();
            assert!(message.contains(part), "{message}");
            assert!(!message.contains('\n'));
        }
    }

    #[test]
    fn raw_frames_and_rewind() {
        let (_file, input) = input(b"abcdef");
        let mut source = Source::raw(input, 3);
        let mut frame = [0; 3];
        for _ in 0..2 {
            for expected in [b"abc", b"def"] {
                assert_eq!(source.advance(), Ok(true));
                source.read(&mut frame).unwrap();
                assert_eq!(&frame, expected);
            }
            assert_eq!(source.advance(), Ok(false));
            source.rewind().unwrap();
        }
        let (_file, input) = self::input(b"abcd");
        let mut source = Source::raw(input, 3);
        source.advance().unwrap();
        source.read(&mut frame).unwrap();
        source.advance().unwrap();
        let message = source.read(&mut frame).unwrap_err().line().unwrap();
        assert!(message.contains("frame 1 has 1 of 3 bytes, the input ends at byte 4"), "{message}");
    }
}
