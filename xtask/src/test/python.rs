//! The step that tests the Python package: on every interpreter found, as people install it, from a
//! wheel.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::project::{Project, run, run_within};
use crate::python::{Interpreter, interpreters, wheels};
use crate::{install, tools};

/// Several times what the tests take on two busy cores: only a hung test meets it.
const LIMIT: Duration = Duration::from_mins(20);

/// Interpreters whose tests run side by side: most of the time they wait.
const AT_A_TIME: usize = 3;

pub(super) fn test(project: &Project) -> Result<()> {
    let pairs = wheels(project, &interpreters(project)?)?;
    for some in pairs.chunks(AT_A_TIME) {
        tests(project, some)?;
    }
    // The newest interpreter has the newest type checker.
    if let Some((interpreter, wheel)) = pairs.last() {
        println!("--- types and style");
        check_sources(project, interpreter, wheel)?;
    }
    Ok(())
}

/// The environment of the interpreter's tests, with the wheel in it.
pub(crate) fn environment(project: &Project, interpreter: &Interpreter, wheel: &Path) -> Result<PathBuf> {
    let name = format!("python-{}", interpreter.version());
    let packages = [tools::PYTHON_TESTS, tools::PYTHON_EXAMPLES].concat();
    let venv = install::venv_of(project, &name, &interpreter.path, &packages)?;
    install::wheel(project, &venv, wheel)?;
    Ok(venv)
}

/// The tests on some interpreters at the same time. What they print comes at their end, one after
/// the other.
fn tests(project: &Project, pairs: &[(Interpreter, PathBuf)]) -> Result<()> {
    // One after the other: installing into two environments at a time gains nothing.
    let mut runs = Vec::new();
    for (interpreter, wheel) in pairs {
        let log = project.cache.join(format!("python-{}.log", interpreter.version()));
        runs.push((interpreter, pytest(project, interpreter, wheel, File::create(&log)?)?, log));
    }
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (_, command, _) in &mut runs {
            threads.push(scope.spawn(|| run_within(LIMIT, command)));
        }
        let result = |thread: ScopedJoinHandle<'_, Result<()>>| {
            thread.join().unwrap_or_else(|_| bail!("the thread that ran the tests panicked"))
        };
        threads.into_iter().map(result).collect()
    });
    for (interpreter, _, log) in &runs {
        println!("--- CPython {}", interpreter.version());
        println!("{}", fs::read_to_string(log)?.trim_end());
    }
    results.into_iter().collect()
}

/// The tests on one interpreter, which print into `log`.
fn pytest(project: &Project, interpreter: &Interpreter, wheel: &Path, log: File) -> Result<Command> {
    let venv = environment(project, interpreter, wheel)?;
    let environment = install::test_environment(project)?;
    // Not `python -m pytest`: that would put the repository's root before the installed package.
    let mut pytest = project.command(venv.join("bin/pytest"));
    // pyproject.toml makes every warning an error.
    pytest.args(["-q", "python/tests"]).envs(environment).env("ZEROBUFFER_TEST_WHEEL", wheel);
    pytest.stdout(log.try_clone()?).stderr(log);
    Ok(pytest)
}

fn check_sources(project: &Project, interpreter: &Interpreter, wheel: &Path) -> Result<()> {
    let packages = [tools::PYTHON_TESTS, tools::PYTHON_LINT].concat();
    let venv = install::venv_of(project, "python-lint", &interpreter.path, &packages)?;
    install::wheel(project, &venv, wheel)?;
    let folders =
        ["python/tests", "examples/python"].into_iter().filter(|folder| project.root.join(folder).is_dir());
    let users = folders.collect::<Vec<_>>().join(" ");
    let tool = |words: &str| {
        let mut words = words.split_whitespace();
        let program = words.next().unwrap_or_default();
        run(project.command(venv.join("bin").join(program)).args(words))
    };
    tool(&format!("ruff check python {users}"))?;
    tool(&format!("ruff format --check python {users}"))?;
    tool(&format!("mypy --strict {users}"))?;
    // What the papers show, and what a user's checker says of right and wrong calls.
    tool("pytest -q python/tests/test_typing.py")?;
    tool(
        "stubtest zerobuffer zerobuffer_serve --mypy-config-file pyproject.toml --allowlist \
         python/stubtest-allowlist.txt",
    )
}
