//! S5: the first maker of a buffer gets what a writer of that name sends.

use crate::attack::Target;
use anyhow::Result;
use std::{fs, path::Path, thread, time::Duration};
use zerobuffer::{BufferConfig, Error, Reader, Writer};

const NAME: &str = "camera";
const SECRET: &[u8] = b"a frame of the camera at root's door";
const TAKEN: &str = "/tmp/taken";

#[expect(clippy::unnecessary_wraps, reason = "as the others")]
pub(crate) fn prepare() -> Result<()> {
    Ok(())
}

pub(crate) fn write(target: &Target) -> Result<()> {
    while target.is_open() {
        match Writer::connect(NAME) {
            Ok(mut writer) => {
                let _ = writer.write(SECRET);
                thread::sleep(Duration::from_millis(20));
            }
            Err(Error::ForeignOwner { owner, .. }) => {
                anyhow::ensure!(owner == crate::stage::NOBODY, "owner {owner}");
                thread::sleep(Duration::from_millis(20));
            }
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
    Ok(())
}

pub(crate) fn read(_: u64) -> Result<()> {
    let mut reader = Reader::create(NAME, BufferConfig::ring(4096).metadata(0).mode(0o666))?;
    loop {
        if let Ok(Some(frame)) = reader.read_timeout(Duration::from_millis(100)) {
            fs::write(TAKEN, frame.data())?;
        }
    }
}

pub(crate) fn frame_was_read() -> Option<String> {
    (Path::new(TAKEN).exists() && fs::read(TAKEN).is_ok_and(|bytes| bytes == SECRET))
        .then(|| "its frame was read by another user".to_owned())
}
