//! The variables of the process's environment that decide how PyTorch computes.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::specification::{Capability, TorchOptions};

/// What a process with these options is started with, by name.
pub(super) fn variables(options: &TorchOptions) -> BTreeMap<&'static str, OsString> {
    let mut variables = BTreeMap::new();
    if options.device.is_none() {
        // `colbert-ai` uses a GPU that it sees.
        variables.insert("CUDA_VISIBLE_DEVICES", OsString::new());
    }
    if let Some(threads) = options.threads {
        variables.insert("OMP_NUM_THREADS", threads.to_string().into());
    }
    let held: &[(&str, &str)] = match options.isa {
        None => &[],
        Some(Capability::Scalar) => &[
            ("ATEN_CPU_CAPABILITY", "default"),
            ("MKL_ENABLE_INSTRUCTIONS", "SSE4_2"),
            ("ONEDNN_MAX_CPU_ISA", "SSE41"),
        ],
        Some(Capability::Avx2) => &[
            ("ATEN_CPU_CAPABILITY", "avx2"),
            ("MKL_ENABLE_INSTRUCTIONS", "AVX2"),
            ("ONEDNN_MAX_CPU_ISA", "AVX2"),
        ],
        Some(Capability::Avx512) => &[
            ("ATEN_CPU_CAPABILITY", "avx512"),
            ("MKL_ENABLE_INSTRUCTIONS", "AVX512"),
        ],
    };
    variables.extend(held.iter().map(|&(name, value)| (name, value.into())));
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_follow_device_threads_and_instruction_set() {
        let of = |word: &str| match word.parse() {
            Ok(crate::specification::SubjectSpec::Torch(options)) => variables(&options),
            other => panic!("{word}: {other:?}"),
        };
        let plain = of("torch==2.4.1");
        assert_eq!(plain.keys().collect::<Vec<_>>(), [&"CUDA_VISIBLE_DEVICES"]);
        assert!(of("torch==2.4.1,device=cuda").is_empty());
        let held = of("torch==2.4.1,threads=3,isa=avx2");
        assert_eq!(held["OMP_NUM_THREADS"], "3");
        assert_eq!(held["ATEN_CPU_CAPABILITY"], "avx2");
        assert_eq!(held.len(), 5);
    }
}
