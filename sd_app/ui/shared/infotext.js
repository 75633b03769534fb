// Which text is clearly the parameters of a picture, so that pasting it fills the form.

const LONGEST = 4_000_000; // characters, as the server reads
// What programs write of any picture; a chat may set it in bold, a keyboard use wide signs.
const COUNT = /(?<![\w-])(?:sampling )?steps["*]*\s*[:：]["*]*\s*\d/i;
const SETTINGS = [
  /(?<![\w-])(?:sampler(?:_name)?|sampling method)["*]*\s*[:：]/i,
  /(?<![\w-])(?:cfg|guidance)[\s_]?(?:scale)?["*]*\s*[:：]/i,
  /(?<![\w-])seed["*]*\s*[:：]["*]*\s*-?\d/i,
  /(?<![\w-])(?:size|width)["*]*\s*[:：]["*]*\s*\d/i,
  /(?<![\w-])(?:model|model hash|schedule type|stable diffusion model)["*]*\s*[:：]/i,
];
// JSON is a program's if it names a prompt and a setting, or holds what only one program has.
const PROMPT = /"(?:positive_|text_)?prompts?"/i;
const SETTING = /"(?:\w+_)?(?:steps|seed|sampler\w*|scheduler|guidance[_ ]scale|cfg_?scale|resolution)"/i;
const OWN = /"(?:class_type|sui_image_params|positive_prompt|base_model|uc)"/;
const LONGEST_COMMAND = 10_000; // characters
const COMMAND = /^(?:(?:dream|invoke)> *)?"[\s\S]+" (?=.*-s *\d)(?=.*-S *\d)/;

export function isInfotext(text) {
  if (text.length > LONGEST) return false;
  if (COUNT.test(text) && SETTINGS.filter((setting) => setting.test(text)).length > 1) return true;
  const whole = text.replaceAll("\ufeff", "").trim();
  if (whole.length <= LONGEST_COMMAND && COMMAND.test(whole)) return true;
  const isJson = /^[{[]/.test(whole) && /[}\]]$/.test(whole);
  return isJson && (OWN.test(whole) || (PROMPT.test(whole) && SETTING.test(whole)));
}
