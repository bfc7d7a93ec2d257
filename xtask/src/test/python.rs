//! The step that tests the Python package: on every interpreter found, as people install it, from a
//! wheel.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::project::{Project, run, run_within};
use crate::python::{Interpreter, interpreters, wheels};
use crate::{install, tools};

/// Several times what the tests take on two busy cores: only a hung test meets it.
const LIMIT: Duration = Duration::from_mins(20);

pub(super) fn test(project: &Project) -> Result<()> {
    let pairs = wheels(project, &interpreters(project)?)?;
    for (interpreter, wheel) in &pairs {
        println!("--- CPython {}", interpreter.version());
        pytest(project, interpreter, wheel)?;
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

fn pytest(project: &Project, interpreter: &Interpreter, wheel: &Path) -> Result<()> {
    let venv = environment(project, interpreter, wheel)?;
    let environment = install::test_environment(project)?;
    // Not `python -m pytest`: that would put the repository's root before the installed package.
    let mut pytest = project.command(venv.join("bin/pytest"));
    // pyproject.toml makes every warning an error.
    run_within(
        LIMIT,
        pytest.args(["-q", "python/tests"]).envs(environment).env("ZEROBUFFER_TEST_WHEEL", wheel),
    )
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
