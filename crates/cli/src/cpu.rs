//! The build assumes certain CPU features; without them the first vector instruction would be an illegal one.

/// What this CPU lacks, as a sentence, or nothing.
pub(crate) fn missing_features() -> Option<String> {
    #[cfg(target_arch = "x86_64")]
    {
        let features = [
            ("AVX2", std::is_x86_feature_detected!("avx2")),
            ("BMI2", std::is_x86_feature_detected!("bmi2")),
            ("FMA", std::is_x86_feature_detected!("fma")),
            ("ADX", std::is_x86_feature_detected!("adx")),
        ];
        let missing: Vec<&str> =
            features.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect();
        if !missing.is_empty() {
            return Some(format!(
                "this CPU has no {}: ingot is built for x86-64 processors with AVX2, BMI2, FMA and ADX (Intel since \
                 Broadwell, AMD since Zen); on a virtual machine, pass the host's CPU features through",
                missing.join(", ")
            ));
        }
    }
    None
}
