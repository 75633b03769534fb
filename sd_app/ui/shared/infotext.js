// Which text is clearly the parameters of a picture, so that pasting it fills the form.

const LONGEST = 4_000_000; // characters, as the server reads
const SETTINGS = /(?:^|[\s,])Steps: *\d+ *[,\n] *\w[\w /-]*:/;
const FORMS = [/"class_type"/, /"sui_image_params"/, /"positive_prompt"/, /"guidance_scale"/, /"uc"\s*:/];

export function isInfotext(text) {
  if (text.length > LONGEST) return false;
  if (SETTINGS.test(text)) return true;
  const whole = text.trim();
  return whole.startsWith("{") && whole.endsWith("}") && FORMS.some((form) => form.test(whole));
}
