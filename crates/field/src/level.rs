//! Which instructions a kernel may use.

use std::sync::OnceLock;

/// Instruction level of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Four lanes with what the build's target has: AVX2 in this project's builds.
    Base,
    /// Eight lanes of AVX-512 (F, DQ, BW, VL).
    Avx512,
}

impl Level {
    /// The best level of this host, unless the environment variable `INGOT_SIMD` is `base`.
    pub fn detect() -> Self {
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(|| match std::env::var("INGOT_SIMD").as_deref() {
            Ok("base") => Self::Base,
            _ => Self::host(),
        })
    }

    /// Field elements in one vector.
    pub const fn lanes(self) -> usize {
        match self {
            Self::Base => 4,
            Self::Avx512 => 8,
        }
    }

    /// The best level of this host.
    #[cfg(target_arch = "x86_64")]
    pub fn host() -> Self {
        let all = std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512dq")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512vl");
        if all {
            Self::Avx512
        } else {
            Self::Base
        }
    }

    /// The best level of this host.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn host() -> Self {
        Self::Base
    }
}

/// Defines `fn $name($level, args)`, which runs the kernel `$body::<L>(args)` compiled for that level.
///
/// The kernel must be `#[inline(always)]`, and so must everything in it that handles lanes: what is not inlined is
/// compiled without the wider instructions.
#[macro_export]
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident = $body:ident where ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)?) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        $vis fn $name(level: $crate::Level, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
            #[allow(clippy::too_many_arguments)]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::Wide<8>>($($arg),*)
            }
            match level {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: whoever made this level asked the host for exactly these features.
                $crate::Level::Avx512 => unsafe { avx512($($arg),*) },
                _ => $body::<$crate::Wide<4>>($($arg),*),
            }
        }
    };
}
