//! S1 and S2: the folders of the lock files are exchanged while root makes them.
//!
//! The first maker of `/tmp/zerobuffer` owns it, and may exchange what is in it at any time.

use crate::{attack::Target, stage};
use anyhow::Result;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};
use zerobuffer::{BufferConfig, Reader};

/// A folder of root's that nobody else may enter.
const SECRET: &str = "/tmp/secret";
/// A file in it, which has the name of a lock file.
const FILE: &str = "/tmp/secret/Cargo.lock";

pub(crate) fn prepare() -> Result<()> {
    stage::private_folder(SECRET)?;
    fs::write(FILE, "[[package]]\n")?;
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "as the others")]
pub(crate) fn create(target: &Target) -> Result<()> {
    stage::until_there("/tmp/zerobuffer/link");
    while target.is_open() {
        // What comes of it is the other side's affair.
        if let Ok(reader) = Reader::create("Cargo", BufferConfig::ring(64).metadata(0)) {
            let _ = reader.close();
        }
    }
    Ok(())
}

pub(crate) fn exchange(seed: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = Path::new("/tmp/zerobuffer");
    fs::create_dir(folder)?;
    // So that root's own files can be made there, as any user's can.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?;
    let (locks, link) = (folder.join("locks"), folder.join("link"));
    symlink(SECRET, &link)?;
    loop {
        // Root makes the folder anew each time. Between making and opening it, the link has to be
        // in its place. It is asked for without looking, since a look takes as long as root needs.
        while renameat_with(CWD, &locks, CWD, &link, RenameFlags::EXCHANGE).is_err() {}
        (0..random.u32(..20_000)).for_each(|_| std::hint::spin_loop());
        let _ = renameat_with(CWD, &locks, CWD, &link, RenameFlags::EXCHANGE);
        let _ = fs::rename(&locks, folder.join(format!("old-{}", random.u64(..))));
    }
}

pub(crate) fn mode_was_changed() -> Option<String> {
    let mode = fs::metadata(SECRET).map_or(0, |meta| meta.mode() & 0o7777);
    (mode != 0o700).then(|| format!("{SECRET} has mode {mode:o}"))
}

pub(crate) fn file_was_removed() -> Option<String> {
    (!Path::new(FILE).exists()).then(|| format!("{FILE} is gone"))
}
