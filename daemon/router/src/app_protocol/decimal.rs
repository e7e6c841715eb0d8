//! Decimal numbers in headers, without the machinery of `fmt`.

/// Appends `number` in decimal digits.
pub(crate) fn put_decimal(number: u64, out: &mut Vec<u8>) {
    // Twenty digits are enough for any u64.
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_fmt_does() {
        for number in [0, 9, 10, 200, 65_535, u64::MAX - 1, u64::MAX] {
            let mut out = b"x".to_vec();
            put_decimal(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{number}"));
        }
    }
}
