//! The rules that turn the published crates, written for a nightly compiler of March 2025, into ones that build on the stable
//! compiler of this repository. Each says how often it must match: another count means other crates, and the port stops.

/// A file pattern, an expression, and what replaces it.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What it does.
    pub name: &'static str,
    /// Which files: the end of their path below the folder of crates.
    pub files: &'static str,
    /// The expression.
    pub find: &'static str,
    /// Its replacement.
    pub replace: &'static str,
    /// How often it matches over all crates.
    pub count: usize,
}

const STORAGE: &str = "zkevm_circuits/src/storage_application/mod.rs";
const UNPACKER: &str = "zkevm_circuits/src/code_unpacker_sha256/mod.rs";
const VALIDITY: &str = "zkevm_circuits/src/storage_validity_by_grand_product/mod.rs";

/// Applied in this order, each to every file.
pub const RULES: &[Rule] = &[
    // `array_chunks` left the standard library; `as_chunks` came.
    Rule {
        name: "array_chunks with a remainder -> as_chunks, Fiat-Shamir",
        files: ".rs",
        find: r"(?s)let mut it = fs_input\.array_chunks::<8>\(\);\n(\s+)for chunk in &mut it \{(.*?)let remainder = it\.remainder\(\);",
        replace: "let (it, remainder) = fs_input.as_chunks::<8>();\n${1}for chunk in it {${2}",
        count: 2,
    },
    Rule {
        name: "feature bigint_helper_methods is stable",
        files: ".rs",
        find: r"(?m)^#!\[feature\(bigint_helper_methods\)\]\n",
        replace: "",
        count: 2,
    },
    Rule {
        name: "array_chunks with a remainder -> as_chunks, blobs",
        files: ".rs",
        find: r"let input_chunks = input\.array_chunks::<2>\(\);\n\s+let remainder = input_chunks\.remainder\(\);",
        replace: "let (input_chunks, remainder) = input.as_chunks::<2>();",
        count: 1,
    },
    Rule {
        name: "feature array_chunks is gone",
        files: ".rs",
        find: r"(?m)^#!\[feature\(array_chunks\)\]\n",
        replace: "",
        count: 5,
    },
    Rule {
        name: "array_chunks -> as_chunks",
        files: ".rs",
        find: r"\.array_chunks::<(\{[^{}]*\}|[^<>{}]*)>\(\)",
        replace: ".as_chunks::<${1}>().0.iter()",
        count: 25,
    },
    Rule {
        name: "array_chunks_mut -> as_chunks_mut",
        files: ".rs",
        find: r"\.array_chunks_mut::<(\{[^{}]*\}|[^<>{}]*)>\(\)",
        replace: ".as_chunks_mut::<${1}>().0.iter_mut()",
        count: 25,
    },
    // The proof library before this one does not build.
    Rule {
        name: "proof library 0.32.11",
        files: "/Cargo.toml",
        find: r#"version = "=0\.32\.10""#,
        replace: r#"version = "=0.32.11""#,
        count: 6,
    },
    // The compiler no longer unifies an abstract constant with its value inside a generic implementation.
    Rule {
        name: "array literal of abstract length -> try_into",
        files: ".rs",
        find: r"(fn flatten_as_variables\(&self\) -> \[Variable; Self::INTERNAL_STRUCT_LEN\](?:\n    where\n        \[\(\); Self::INTERNAL_STRUCT_LEN\]:,\n    \{| \{)\n)(        \[\n(?:            [^\n]*\n)*?            [^\n]*)\n        \]\n    \}",
        replace: "${1}${2}\n        ][..].try_into().unwrap()\n    }",
        count: 5,
    },
    Rule {
        name: "delegated array of abstract length -> try_into",
        files: ".rs",
        find: r"\n        self\.flatten_as_variables_impl\(\)\n",
        replace: "\n        self.flatten_as_variables_impl()[..].try_into().unwrap()\n",
        count: 1,
    },
    Rule {
        name: "argument of abstract length -> try_into",
        files: ".rs",
        find: r"\n        log_query_witness_from_values\(values\)\n",
        replace: "\n        log_query_witness_from_values(values[..].try_into().unwrap())\n",
        count: 1,
    },
    Rule {
        name: "array literal of abstract length -> try_into, registers",
        files: "zkevm_circuits/src/base_structures/register/mod.rs",
        find: r"(?s)(fn flatten_as_variables\(&self\)[^{]*\{\n)(.*?)\n        \]\n    \}",
        replace: "${1}${2}\n        ][..].try_into().unwrap()\n    }",
        count: 1,
    },
    Rule {
        name: "literal length -> abstract, signature",
        files: VALIDITY,
        find: r"fn flatten_as_variables\(&self\) -> \[Variable; 37\]",
        replace: "fn flatten_as_variables(&self) -> [Variable; Self::INTERNAL_STRUCT_LEN]",
        count: 1,
    },
    Rule {
        name: "literal length -> abstract, array",
        files: VALIDITY,
        find: r"let mut result = \[Variable::placeholder\(\); 37\];",
        replace: "let mut result = [Variable::placeholder(); Self::INTERNAL_STRUCT_LEN];",
        count: 1,
    },
    // A closure whose type mentions an abstract length crashes the compiler when it generates code: these use the setters
    // that take slices.
    Rule {
        name: "closure over slices, signature (storage)",
        files: STORAGE,
        find: r"(?s)let value_fn = move \|inputs: \[F; \d\]\| \{(?=(?:(?!let value_fn).)*?EL::INTERNAL_STRUCT_LEN)",
        replace: "let value_fn = move |inputs: &[F], dst: &mut DstBuffer<'_, '_, F>| {",
        count: 2,
    },
    Rule {
        name: "closure over slices, end (storage)",
        files: STORAGE,
        find: r"let mut result = \[F::ZERO; EL::INTERNAL_STRUCT_LEN\];\n\s+let mut dst = DstBuffer::MutSlice\(&mut result, 0\);\n\s+EL::set_internal_variables_values\(witness, &mut dst\);\n\s+drop\(dst\);\n\n\s+result\n",
        replace: "EL::set_internal_variables_values(witness, dst);\n",
        count: 2,
    },
    Rule {
        name: "closure over slices, setter (storage)",
        files: STORAGE,
        find: r"(?s)(dst: &mut DstBuffer<'_, '_, F>\| \{(?:(?!let value_fn).)*?)cs\.set_values_with_dependencies\(&dependencies, &outputs, value_fn\);",
        replace: "${1}cs.set_values_with_dependencies_vararg(&dependencies, &outputs, value_fn);",
        count: 2,
    },
    Rule {
        name: "closure over slices, signature (code)",
        files: UNPACKER,
        find: r"(?s)let value_fn = move \|inputs: \[F; \d\]\| \{(?=(?:(?!let value_fn).)*?EL::INTERNAL_STRUCT_LEN)",
        replace: "let value_fn = move |inputs: &[F], dst: &mut DstBuffer<'_, '_, F>| {",
        count: 2,
    },
    Rule {
        name: "closure over slices, end (code)",
        files: UNPACKER,
        find: r"let mut result = \[F::ZERO; EL::INTERNAL_STRUCT_LEN \+ 1\];\n\s+result\[0\] = (<bool as WitnessCastable<F, F>>::cast_into_source\(sequence_is_empty\));\n\s+let mut dst = DstBuffer::MutSlice\(&mut result\[1\.\.\], 0\);\n\s+EL::set_internal_variables_values\(witness, &mut dst\);\n\s+drop\(dst\);\n\n\s+result\n",
        replace: "dst.push(${1});\n                EL::set_internal_variables_values(witness, dst);\n",
        count: 2,
    },
    Rule {
        name: "closure over slices, setter (code)",
        files: UNPACKER,
        find: r"(?s)(dst: &mut DstBuffer<'_, '_, F>\| \{(?:(?!let value_fn).)*?)cs\.set_values_with_dependencies\(&dependencies, &outputs, value_fn\);",
        replace: "${1}cs.set_values_with_dependencies_vararg(&dependencies, &outputs, value_fn);",
        count: 2,
    },
    // Half of the harness proves, makes keys and tests. Ingot does that itself, and the compiler takes long over it.
    Rule {
        name: "modules that are not used",
        files: "zkevm_test_harness/src/lib.rs",
        find: r"(?m)^(?:pub(?:\(crate\))? )?(?:mod (?:data_source|prover_utils|snark_wrapper_test|debug|capacity_estimator|tests|compute_setups|proof_wrapper_utils);|use tests::complex_tests::utils::empty_node_proof;)\n",
        replace: "",
        count: 9,
    },
    // Warnings about code that is not ours to mend.
    Rule {
        name: "no warnings",
        files: "/Cargo.toml",
        find: r"\z",
        replace: "\n[lints.rust]\nwarnings = \"allow\"\n",
        count: 10,
    },
    // Standard output belongs to the executable. After the inner attributes of a crate's root, `println!` is nothing.
    Rule {
        name: "silence",
        files: "zkevm_test_harness/src/lib.rs",
        find: r"\A((?:(?:#!\[[^\]]*\]|//[^\n]*|[ \t]*)\n)*)",
        replace: "${1}#[allow(unused_macros)]\nmacro_rules! println { ($$($$t:tt)*) => { { let _ = ::std::format_args!($$($$t)*); } } }\n",
        count: 1,
    },
];
