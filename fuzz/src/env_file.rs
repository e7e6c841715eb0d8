//! Arbitrary bytes as the environment file of an app: what is accepted has names and values that a process can get.

use supervisor::fuzzing;

/// Reads the bytes as a file, and its variables in single quotes as another one.
pub fn check(data: &[u8]) {
    let Some(variables) = fuzzing::env_file_variables(data) else { return };
    let mut again = String::new();
    for (name, value) in &variables {
        assert!(!name.is_empty() && !name.contains(['=', '\0', '\n']) && !value.contains('\0'));
        if value.contains('\'') {
            return;
        }
        again.push_str(&format!("{name}='{value}'\n"));
    }
    assert_eq!(fuzzing::env_file_variables(again.as_bytes()), Some(variables));
}
