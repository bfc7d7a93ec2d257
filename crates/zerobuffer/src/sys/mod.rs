//! All operating-system calls. One folder per system, the same names in each.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(not(target_os = "linux"))]
compile_error!("zerobuffer: this operating system is not supported yet");
