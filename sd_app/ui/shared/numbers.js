// Numbers as people read them.

// So many digits that count, no zeros behind: 0.25, 1234, 3e-7.
export function short(value, digits) {
  return Number(value.toPrecision(digits)).toString();
}

// With the true minus sign instead of the hyphen.
export const withMinus = (text) => text.replace("-", "−");

// A width as people say it: 1/8. Nothing is 0.
export const asFraction = (width) => (width > 0 ? `1/${Math.round(1 / width)}` : "0");

export const clamp = (value, least, most) => Math.min(most, Math.max(least, value));
