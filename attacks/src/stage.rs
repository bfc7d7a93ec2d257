//! Where attacks take place: mounts of this process alone, so nothing of the machine is touched.

use anyhow::{Context as _, Result};
use rustix::{
    mount::{MountFlags, mount},
    process::geteuid,
};
use std::{
    env, fs,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
};

/// An ordinary user of every Linux system.
pub(crate) const NOBODY: u32 = 65_534;

/// Why nothing can be shown here; `None` if it can.
pub(crate) fn missing() -> Option<&'static str> {
    if !geteuid().is_root() {
        return Some("only root can be the victim, and become another user");
    }
    let made = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if made.is_ok_and(|status| status.success()) {
        None
    } else {
        Some("this system does not let root make mounts of its own (unshare -m)")
    }
}

/// Runs this program again, on mounts of its own.
pub(crate) fn enter() -> Result<ExitCode> {
    let status = Command::new("unshare")
        .args(["-m", "--propagation", "private"])
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .arg("--inside")
        .env_remove("TMPDIR")
        .env_remove("ZEROBUFFER_OWNER")
        .status()
        .context("cannot run unshare")?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

/// Fresh folders.
pub(crate) fn clear() -> Result<()> {
    for folder in ["/tmp", "/dev/shm"] {
        // What was mounted before lies below, and goes with this process.
        mount("tmpfs", folder, "tmpfs", MountFlags::empty(), Some(c"mode=1777,size=64m"))
            .with_context(|| format!("cannot mount {folder}"))?;
    }
    Ok(())
}

/// The attacker, as another user.
pub(crate) fn start_attacker(name: &str, seed: u64) -> Result<Child> {
    // By this name it can be run whatever folders that user may enter.
    Command::new("/proc/self/exe")
        .args(["--attacker", name, "--seed", &seed.to_string()])
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .spawn()
        .context("cannot start the attacker")
}

/// A folder that only its owner may enter.
pub(crate) fn private_folder(path: &str) -> Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

/// Waits until something has been made by the other side.
pub(crate) fn until_there(path: &str) {
    while !Path::new(path).exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
