//! One measurement: two processes, started, listened to, looked at and ended.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Options;
use super::load::Load;
use super::plan::Group;
use crate::case::{Ends, System};
use crate::report::record::{Memory, Run};

/// Beyond the measured time: an interpreter that starts, a slow system that empties its ring.
const PATIENCE: Duration = Duration::from_secs(25);

/// One end; killed if it is dropped while it runs.
struct End {
    role: &'static str,
    child: Child,
    lines: Receiver<String>,
}

/// Measures one system once.
pub(crate) fn measure(options: &Options, group: &Group, system: &System) -> Result<Run> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("zbcompare-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let load = Load::start()?;
    let result = run(options, group, system, &name);
    remove_leftovers(&name);
    let (mut values, memory) = result?;
    let cpu: f64 = values.remove("cpu").unwrap_or_default();
    Ok(Run { values, cpu, foreign: load.foreign()?, memory })
}

fn run(
    options: &Options,
    group: &Group,
    system: &System,
    name: &str,
) -> Result<(BTreeMap<String, f64>, Memory)> {
    let mut server = End::start(options, group, system, name, "server", 0)?;
    let ready = server.line(options, group)?;
    anyhow::ensure!(ready == "ready", "the server said `{ready}`");
    let mut client = End::start(options, group, system, name, "client", 1)?;
    let mut values = client.result(options, group)?;
    let mut pids = [server.child.id(), client.child.id()];
    if let ([_, pid], Some(other)) = (&mut pids, values.remove("pid")) {
        *pid = other as u32;
    }
    for (key, value) in server.result(options, group)? {
        if key != "pid" {
            *values.entry(key).or_default() += value;
        }
    }
    let memory = Memory::of(pids);
    client.end()?;
    server.end()?;
    Ok((values, memory))
}

impl End {
    fn start(
        options: &Options,
        group: &Group,
        system: &System,
        name: &str,
        role: &'static str,
        processor: usize,
    ) -> Result<Self> {
        let mut command = match system.ends {
            Ends::Rust => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("end");
                command
            }
            Ends::Program(name) => {
                let program = options.programs.get(name);
                Command::new(program.with_context(|| format!("no --program {name}=PATH"))?)
            }
            Ends::Python(environment) => {
                let python = options.pythons.get(environment);
                let python = python.with_context(|| format!("no --python {environment}=PATH"))?;
                let mut command = Command::new(python);
                // Not from the checkout: its package folder must not stand in for the installed
                // one.
                command.current_dir("/").arg("-B").arg(options.scripts.join("end.py"));
                command
            }
        };
        let words = [system.name, role, group.kind.name(), name];
        command.args(words).args([group.size.bytes, group.size.depth].map(|number| number.to_string()));
        command.arg(options.seconds(group.kind).to_string()).arg(options.touch.name());
        if options.pin {
            // SAFETY: between fork and exec: one system call on memory of its own stack.
            unsafe { command.pre_exec(move || pin(processor)) };
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start the {role} {}", command.get_program().display()))?;
        let output = child.stdout.take().context("no pipe")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { role, child, lines })
    }

    fn line(&mut self, options: &Options, group: &Group) -> Result<String> {
        let patience = PATIENCE + Duration::from_secs_f64(options.seconds(group.kind) * 2.0);
        self.lines
            .recv_timeout(patience)
            .with_context(|| format!("the {} ended or said nothing for {} s", self.role, patience.as_secs()))
    }

    fn result(&mut self, options: &Options, group: &Group) -> Result<BTreeMap<String, f64>> {
        let line = self.line(options, group)?;
        serde_json::from_str(&line).with_context(|| format!("the {} said `{line}`", self.role))
    }

    /// Lets it go, and waits for its end.
    fn end(&mut self) -> Result<()> {
        if let Some(mut input) = self.child.stdin.take() {
            // It may have ended already; its status says the rest.
            let _ = input.write_all(b"\n");
        }
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "the {} ended with {status}", self.role);
        Ok(())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn pin(processor: usize) -> std::io::Result<()> {
    // SAFETY: a cpu_set_t is bits only, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set lives on this stack; a processor beyond its size is refused by the call
    // below.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: reads one set of the given size.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// What a killed end, or one of zerobuffer-ipc 1.3.0, leaves of this measurement.
fn remove_leftovers(name: &str) {
    for folder in ["/dev/shm", "/tmp/zerobuffer/locks"] {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let file = entry.file_name();
            let file = file.to_string_lossy();
            // Not those of measurement 24 with those of 2.
            if file.split_once(name).is_some_and(|(_, rest)| !rest.starts_with(|c: char| c.is_ascii_digit()))
            {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}
