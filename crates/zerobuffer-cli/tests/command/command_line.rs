//! Help, version, completions: what the command says about itself.

use crate::common::{self, run};

const COMMANDS: [&str; 15] = [
    "demo",
    "send",
    "recv",
    "record",
    "replay",
    "tee",
    "serve",
    "call",
    "ls",
    "inspect",
    "top",
    "metrics",
    "clean",
    "doctor",
    "completions",
];

#[test]
fn help_names_every_command_and_every_exit_code() {
    let help = run(&["--help"]).ok().text();
    for command in COMMANDS {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {help}");
        let own = run(&[command, "--help"]).ok().text();
        assert!(own.contains(&format!("Usage: zerobuffer {command}")), "{own}");
    }
    for code in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 70, 130, 141] {
        let code = format!("{code} ");
        assert!(help.lines().any(|line| line.trim_start().starts_with(&code)), "{code}: {help}");
    }
    assert!(!help.contains("demo-writer"), "{help}");
}

#[test]
fn version() {
    assert_eq!(run(&["--version"]).ok().text(), format!("zerobuffer {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).ok().text();
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
        for hidden in ["demo-writer", "demo__writer", "bench-peer", "bench__peer"] {
            assert!(!script.contains(hidden), "{shell} offers {hidden}");
        }
    }
    run(&["completions", "cmd.exe"]).failed(2, &["'cmd.exe'", "bash"]);
}

#[test]
fn bash_takes_its_completions() {
    let script =
        format!("source <({} completions bash)\ncomplete -p zerobuffer", env!("CARGO_BIN_EXE_zerobuffer"));
    let output = match std::process::Command::new("bash").args(["-c", &script]).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: cannot start bash: {error}");
            return;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("_zerobuffer"), "{text}{:?}", output.stderr);
}

#[test]
fn manual_pages_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    run(&["man", folder.path().to_str().unwrap()]).ok();
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("zerobuffer.1").contains("Exit codes"));
    for command in COMMANDS {
        assert!(page(&format!("zerobuffer-{command}.1")).contains(".SH OPTIONS"), "{command}");
    }
    let pages = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let hidden = pages.filter(|name| name.to_string_lossy().contains("peer") || name == "zerobuffer-man.1");
    assert_eq!(hidden.count(), 0);
    run(&["man", "/no/such/folder"]).failed(1, &["/no/such/folder"]);
}

#[test]
fn the_bridge_is_a_program_of_its_own() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let bridge = |arguments: &[&str]| {
        let mut command = common::command(arguments);
        common::start_command(command.env("PATH", folder.path()).stdout(std::process::Stdio::piped())).wait()
    };
    bridge(&["bridge", "send", "cam"]).failed(1, &["zerobuffer-bridge", "not in the PATH", "cargo install"]);
    let program = folder.path().join("zerobuffer-bridge");
    std::fs::write(&program, "#!/bin/sh\necho \"$@\"\nexit 5\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let done = bridge(&["bridge", "send", "cam", "--connect", "host:7447", "--help"]);
    assert_eq!(done.code, Some(5), "{}", done.stderr);
    assert_eq!(String::from_utf8_lossy(&done.stdout), "send cam --connect host:7447 --help\n");
    assert_eq!(String::from_utf8_lossy(&bridge(&["bridge", "--help"]).stdout), "--help\n");
    assert_eq!(String::from_utf8_lossy(&bridge(&["--quiet", "bridge", "ls"]).stdout), "--quiet ls\n");
}
