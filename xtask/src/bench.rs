//! `cargo xtask bench`: ZeroBuffer beside its peers, measured in one run.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use pico_args::Arguments;

use crate::project::{Project, capture, run as run_command};
use crate::{Command, c_dist, csharp, install, python, tools};

pub(crate) const COMMAND: Command = Command {
    name: "bench",
    arguments: "[gstreamer|bridge|--quick|...]",
    summary: "measure beside the peers: --quick, --only KIND/SIZE/SYSTEM, --record; --help for more; gstreamer: the elements; bridge: between machines",
    run,
};

fn run(project: &Project, arguments: Arguments) -> Result<()> {
    let options = arguments.finish();
    if options.first().is_some_and(|option| option == "gstreamer") {
        return gstreamer(project, options.get(1..).unwrap_or_default());
    }
    if options.first().is_some_and(|option| option == "bridge") {
        return bridge(project, options.get(1..).unwrap_or_default());
    }
    let program = build(project)?;
    if options.iter().any(|option| option == "--help" || option == "-h") {
        return run_command(project.command(&program).arg("help"));
    }
    // A record that is only written again needs none.
    let names = capture(project.command(&program).arg("environments").args(&options))?;
    let mut words = vec![OsString::from("run")];
    for need in names.lines() {
        let (what, name) =
            need.split_once(' ').context("zerobuffer-compare wants something without a name")?;
        let path = match what {
            "python" => environment(project, name)?.join("bin/python"),
            _ => native_end(project, name)?,
        };
        let mut pair = OsString::from(format!("{name}="));
        pair.push(path);
        words.extend([format!("--{what}").into(), pair]);
    }
    run_command(project.command(&program).args(words).args(options))
}

/// The elements beside GStreamer's own: `cargo xtask bench gstreamer [ROUNDS]`.
fn gstreamer(project: &Project, options: &[OsString]) -> Result<()> {
    install::programs(project, tools::GSTREAMER)?;
    let manifest = "--release --locked --manifest-path crates/gst-plugin-zerobuffer/Cargo.toml";
    run_command(&mut project.cargo(&format!("build {manifest}")))?;
    run_command(&mut project.cargo(&format!("build {manifest} --example unpainted")))?;
    run_command(&mut project.cargo("build --release --locked -p zerobuffer-cli --bin zerobuffer"))?;
    run_command(project.command("python3").arg("benchmarks/gstreamer/compare.py").args(options))
}

/// The bridge beside the engine's own publish and subscribe, and plain TCP:
/// `cargo xtask bench bridge [--rounds COUNT] [--frames COUNT] [--quick]`.
fn bridge(project: &Project, options: &[OsString]) -> Result<()> {
    let manifest = "--locked --manifest-path crates/zerobuffer-bridge/Cargo.toml";
    run_command(project.cargo(&format!("bench {manifest} --bench speed --")).args(options))
}

/// A workspace of its own, with a target folder beside the other things that xtask makes.
fn build(project: &Project) -> Result<PathBuf> {
    let target = project.cache.join("compare");
    let mut build = project.cargo("build --release --locked --manifest-path benchmarks/compare/Cargo.toml");
    run_command(build.env("CARGO_TARGET_DIR", &target))?;
    Ok(target.join("release/zerobuffer-compare"))
}

/// An end in C, C++ or C#, with the C library as distributions take it.
fn native_end(project: &Project, name: &str) -> Result<PathBuf> {
    let (compiler, source, standard) = match name {
        "ours-c" => (tools::C_COMPILER, "end.c", "-std=c11"),
        "ours-cpp" => (tools::CXX_COMPILER, "end.cpp", "-std=c++17"),
        "ours-cs" => return csharp::end(project, &c_dist::build(project)?),
        other => anyhow::bail!("zerobuffer-compare wants a program `{other}` that nobody made"),
    };
    install::program(project, &compiler)?;
    let dist = c_dist::build(project)?;
    let program = project.cache.join(name);
    let lib = dist.join("lib");
    let mut build = project.command(compiler.name);
    build.args([standard, "-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program);
    build.arg(project.root.join("benchmarks/compare/native").join(source));
    build.arg("-I").arg(dist.join("include")).arg("-L").arg(&lib).arg("-lzerobuffer");
    run_command(build.arg(format!("-Wl,-rpath,{}", lib.display())))?;
    Ok(program)
}

/// The folder of the environment that the program calls by this name.
fn environment(project: &Project, name: &str) -> Result<PathBuf> {
    match name {
        "ours" => {
            let folder = install::venv(project, &tools::BENCH_OURS)?;
            let interpreter = python::interpreter(project, &folder.join("bin/python"))?;
            for (_, wheel) in python::wheels(project, &[interpreter])? {
                install::wheel(project, &folder, &wheel)?;
            }
            Ok(folder)
        }
        "old" => install::venv(project, &tools::BENCH_OLD),
        "peers" => install::venv(project, &tools::BENCH_PEERS),
        other => anyhow::bail!("zerobuffer-compare wants a Python environment `{other}` that nobody made"),
    }
}
