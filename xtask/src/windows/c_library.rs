//! The C library for Windows: a DLL and its import library, and a program in C that uses them
//! under wine.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{GNU, wine::Wine};
use crate::c_dist::CRATE;
use crate::debian_rust::DebianRust;
use crate::project::{Project, run, run_within};
use crate::{install, tools};

/// What Rust's standard library asks of Windows.
const SYSTEM: [&str; 6] = ["-lws2_32", "-luserenv", "-lntdll", "-lbcrypt", "-ladvapi32", "-lkernel32"];
const LIMIT: Duration = Duration::from_mins(5);

pub(crate) fn check(project: &Project) -> Result<()> {
    install::programs(project, &[tools::DEBIAN_RUST, &[tools::MINGW], tools::WINE].concat())?;
    let rust = DebianRust::install(project)?;
    run(&mut rust.cargo(&format!("build --locked -p zerobuffer-c --target {GNU}")))?;
    let folder = project.cache.join("windows-c");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    link(project, &folder)?;
    let mut gcc = project.command(tools::MINGW.name);
    gcc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-o"]).arg(folder.join("checks.exe"));
    gcc.arg(format!("{CRATE}/tests/consumers/checks.c")).arg(format!("-I{CRATE}/include"));
    run(gcc.arg(format!("-L{}", folder.display())).arg("-lzerobuffer"))?;
    let wine = Wine::start(project)?;
    let mut checks = project.command("wine");
    wine.prepare(&mut checks);
    run_within(LIMIT, checks.current_dir(&folder).args(["checks.exe", crate::project::name_mark()]))
}

/// A DLL that exports the functions of the header and nothing else.
fn link(project: &Project, folder: &Path) -> Result<()> {
    let header = fs::read_to_string(project.root.join(CRATE).join("include/zerobuffer.h"))?;
    let words = header.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '(');
    let functions = words.filter_map(|word| word.split_once('(')).map(|(name, _)| name);
    let mut functions: Vec<&str> = functions.filter(|name| name.starts_with("zb_")).collect();
    functions.sort_unstable();
    functions.dedup();
    let exports = folder.join("zerobuffer.def");
    fs::write(&exports, format!("LIBRARY zerobuffer.dll\nEXPORTS\n{}\n", functions.join("\n")))?;
    let archive = project.cache.join("cross").join(GNU).join("debug/libzerobuffer_c.a");
    let mut gcc = project.command(tools::MINGW.name);
    gcc.args(["-shared", "-static-libgcc", "-o"])
        .arg(folder.join("zerobuffer.dll"))
        .arg(exports)
        .arg(archive);
    gcc.arg(format!("-Wl,--out-implib,{}", folder.join("libzerobuffer.dll.a").display()));
    run(gcc.args(SYSTEM))
}
