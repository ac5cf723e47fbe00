//! The text of a script that shows what two sides compute, and what it prints.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;

use concord_model::architecture::Operation;
use concord_subject::specification::Amp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A script and what it prints on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reproducer {
    pub operation: Operation,
    /// A name for its folder.
    pub name: String,
    /// The Python script.
    pub script: String,
    /// What it prints on the first side.
    pub expected_a: String,
    /// On the second.
    pub expected_b: String,
    /// Elements of the result that differ.
    pub differing: usize,
    /// Of how many.
    pub of: usize,
}

/// What a script shows: a step whose results differ.
pub(super) struct Shown<'a> {
    pub name: &'static str,
    pub operation: Operation,
    /// The line of Python that computes `y`.
    pub call: &'a str,
    /// The rows and columns of each matrix of the result that both sides have, where one has others.
    pub part: Option<[usize; 2]>,
    pub sides: [SideOfScript; 2],
}

/// How one side computes the step.
pub(super) struct SideOfScript {
    /// What it is called.
    pub subject: String,
    pub autocast: Amp,
    pub threads: Option<NonZeroUsize>,
    /// The variables of its process's environment.
    pub variables: BTreeMap<&'static str, OsString>,
    /// The lines that make its operands.
    pub operands: Vec<String>,
    /// The elements that both sides compute on the same numbers: as many as the other side's.
    pub values: Vec<f32>,
}

impl SideOfScript {
    /// What a process that runs nothing but the script is not started with anyway.
    fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        // A script computes on the CPU, whatever it sees, and sets its threads itself.
        let needless = ["CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"];
        let variables = self.variables.iter();
        let variables = variables.filter(move |(name, _)| !needless.contains(name));
        variables.map(|(name, value)| (*name, value.to_string_lossy().into_owned()))
    }

    fn autocast(&self) -> &'static str {
        match self.autocast {
            Amp::Bf16 => ", torch.autocast(\"cpu\", dtype=torch.bfloat16)",
            Amp::F16 => ", torch.autocast(\"cpu\", dtype=torch.float16)",
            Amp::Off => "",
        }
    }

    fn plain(&self) -> bool {
        self.threads.is_none() && self.variables().next().is_none()
    }
}

/// The script.
pub(super) fn script(shown: &Shown<'_>) -> Reproducer {
    let [a, b] = &shown.sides;
    let differs = |(a, b): &(&f32, &f32)| a.to_bits() != b.to_bits();
    let pairs = || a.values.iter().zip(&b.values);
    let differing = pairs().filter(differs).count();
    let place = pairs().position(|pair| differs(&pair)).unwrap_or(0);
    let expected = [line(&a.values, place), line(&b.values, place)];
    let one_setting = a.plain() && b.plain() && a.autocast == b.autocast;
    let text = if one_setting && a.operands == b.operands {
        in_one_setting(shown, differing, place, &expected)
    } else {
        in_two_settings(shown, differing, place, &expected)
    };
    let [expected_a, expected_b] = expected;
    Reproducer {
        operation: shown.operation,
        name: shown.name.to_owned(),
        script: text,
        expected_a,
        expected_b,
        differing,
        of: a.values.len(),
    }
}

/// What the script prints of these values.
fn line(values: &[f32], place: usize) -> String {
    let mut hasher = Sha256::new();
    values
        .iter()
        .for_each(|value| hasher.update(value.to_le_bytes()));
    let digest = hasher.finalize();
    let digits = digest.iter().take(8);
    let digits: String = digits.map(|byte| format!("{byte:02x}")).collect();
    let bits = values.get(place).map_or(0, |value| value.to_bits());
    format!("sha256 {digits} y[{place}] {bits:08x}")
}

/// The function of the scripts that makes numbers.
const NUMBERS: &str = r#"def numbers(seed, scale, *shape):
    """Numbers from -scale/2 to scale/2, the same to the bit in every version."""
    n = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(seed << 32)
    n = n * np.uint64(0x9E3779B97F4A7C15)
    n = (n ^ (n >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    unit = (n >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    return torch.from_numpy(((unit - np.float32(0.5)) * np.float32(scale)).reshape(shape))"#;

/// A script to be run with two versions of PyTorch, which compute the same.
fn in_one_setting(
    shown: &Shown<'_>,
    differing: usize,
    place: usize,
    expected: &[String; 2],
) -> String {
    let [a, b] = &shown.sides;
    let [expected_a, expected_b] = expected;
    format!(
        r#"#!/usr/bin/env python3
"""`{call}` has other bits in {subject_b} than in {subject_a}.

{differing} of {of} elements differ. Needs torch and numpy alone; computes on the CPU.
"""
import hashlib

import numpy as np
import torch


{NUMBERS}


{operands}
with torch.no_grad(){autocast}:
    y = {call}.float().contiguous().numpy().reshape(-1)
found = "sha256 %s y[%d] %08x" % (hashlib.sha256(y.tobytes()).hexdigest()[:16], {place}, y.view(np.uint32)[{place}])
expected = {{
    "{subject_a}": "{expected_a}",
    "{subject_b}": "{expected_b}",
}}
print("torch", torch.__version__, found)
print("as", " and ".join(name for name, line in expected.items() if line == found) or "neither")
"#,
        call = shown.call,
        subject_a = a.subject,
        subject_b = b.subject,
        of = a.values.len(),
        operands = a.operands.join("\n"),
        autocast = b.autocast(),
    )
}

/// A script that computes the step as each side does, in a process each.
fn in_two_settings(
    shown: &Shown<'_>,
    differing: usize,
    place: usize,
    expected: &[String; 2],
) -> String {
    let [a, b] = &shown.sides;
    let named = [("a", a, &expected[0]), ("b", b, &expected[1])];
    let sides: String = named
        .iter()
        .map(|(name, side, expected)| {
            let variables: Vec<String> = side
                .variables()
                .map(|(name, value)| format!("\"{name}\": \"{value}\""))
                .collect();
            format!(
                "    \"{name}\": (\"{}\", {{{}}}, \"{expected}\"),\n",
                side.subject,
                variables.join(", ")
            )
        })
        .collect();
    let part = shown.part.map_or(String::new(), |[rows, columns]| {
        format!("[..., :{rows}, :{columns}]")
    });
    let functions: String = named
        .iter()
        .map(|(name, side, _)| {
            let threads = side.threads.map_or(String::new(), |threads| {
                format!("    torch.set_num_threads({threads})\n")
            });
            let operands: String = side
                .operands
                .iter()
                .map(|line| format!("    {line}\n"))
                .collect();
            format!(
                "def {name}():\n{threads}{operands}    with torch.no_grad(){}:\n        return {}{part}\n\n\n",
                side.autocast(),
                shown.call
            )
        })
        .collect();
    format!(
        r#"#!/usr/bin/env python3
"""`{call}` has other bits as {subject_b} computes it than as {subject_a} does.

Both compute the first {of} elements of the result from the same numbers; {differing} of them differ. Each side is
computed in a process of its own. Needs torch and numpy alone; computes on the CPU.
"""
import hashlib
import os
import subprocess
import sys

SIDES = {{
{sides}}}
if len(sys.argv) < 2:
    for name, (_, variables, _) in SIDES.items():
        subprocess.run([sys.executable, os.path.abspath(__file__), name], env=dict(os.environ, **variables), check=True)
    sys.exit()

import numpy as np
import torch


{NUMBERS}


{functions}subject, _, expected = SIDES[sys.argv[1]]
y = globals()[sys.argv[1]]().float().contiguous().numpy().reshape(-1)[:{of}]
found = "sha256 %s y[%d] %08x" % (hashlib.sha256(y.tobytes()).hexdigest()[:16], {place}, y.view(np.uint32)[{place}])
print("torch", torch.__version__, "as", subject, found, "as expected" if found == expected else "expected " + expected)
"#,
        call = shown.call,
        subject_a = a.subject,
        subject_b = b.subject,
        of = a.values.len(),
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn side(subject: &str, rows: usize, values: &[f32]) -> SideOfScript {
        SideOfScript {
            subject: subject.to_owned(),
            autocast: Amp::Off,
            threads: None,
            variables: BTreeMap::from([("CUDA_VISIBLE_DEVICES", OsString::new())]),
            operands: vec![format!("x = numbers(1, 2.0, {rows}, 4)")],
            values: values.to_vec(),
        }
    }

    fn shown(sides: [SideOfScript; 2], part: Option<[usize; 2]>) -> Reproducer {
        script(&Shown {
            name: "gelu",
            operation: Operation::Gelu,
            call: "torch.nn.functional.gelu(x)",
            part,
            sides,
        })
    }

    /// That Python can read it, where there is a Python.
    fn is_python(script: &str) {
        let check = "import ast, sys; ast.parse(sys.argv[1])";
        match Command::new("python3").args(["-c", check, script]).status() {
            Ok(status) => assert!(status.success(), "{script}"),
            Err(_) => assert!(std::env::var_os("CI").is_none(), "there is no python3"),
        }
    }

    #[test]
    fn sides_that_differ_in_their_version_alone_have_one_computation() {
        let sides = [
            side("torch==2.7.1", 3, &[1.0, 2.0, 3.0]),
            side("torch==2.8.0", 3, &[1.0, 2.5, 3.5]),
        ];
        let found = shown(sides, None);
        assert_eq!((found.differing, found.of), (2, 3));
        assert!(found.expected_a.ends_with("y[1] 40000000"));
        assert!(found.expected_b.ends_with("y[1] 40200000"));
        assert!(found.script.contains("\nx = numbers(1, 2.0, 3, 4)\n"));
        assert!(!found.script.contains("subprocess"));
        is_python(&found.script);
    }

    #[test]
    fn sides_of_other_shapes_or_settings_compute_in_a_process_each() {
        let held = |mut side: SideOfScript| {
            side.variables.insert("ATEN_CPU_CAPABILITY", "avx2".into());
            side
        };
        let threads = |mut side: SideOfScript| {
            side.threads = NonZeroUsize::new(3);
            side
        };
        let half = |mut side: SideOfScript| {
            side.autocast = Amp::Bf16;
            side
        };
        let plain = || side("torch==2.8.0,batch=8", 3, &[1.0, 2.0]);
        let other = |rows| side("torch==2.8.0,batch=32", rows, &[1.0, 2.5]);
        for (sides, said) in [
            ([plain(), other(7)], "x = numbers(1, 2.0, 7, 4)"),
            (
                [plain(), held(other(3))],
                "{\"ATEN_CPU_CAPABILITY\": \"avx2\"}",
            ),
            (
                [held(plain()), held(other(3))],
                "{\"ATEN_CPU_CAPABILITY\": \"avx2\"}",
            ),
            ([threads(plain()), other(3)], "torch.set_num_threads(3)"),
            (
                [plain(), half(other(3))],
                "torch.autocast(\"cpu\", dtype=torch.bfloat16)",
            ),
        ] {
            let found = shown(sides, Some([1, 2]));
            for said in [
                said,
                "subprocess.run",
                "return torch.nn.functional.gelu(x)[..., :1, :2]",
            ] {
                assert!(found.script.contains(said), "{said}: {}", found.script);
            }
            for expected in [&found.expected_a, &found.expected_b] {
                assert!(found.script.contains(expected.as_str()));
            }
            // Nothing of a GPU, which no script uses.
            assert!(!found.script.contains("CUDA"));
            is_python(&found.script);
        }
    }
}
