// The same noise in other numbers of steps.
import { node } from "../../shared/dom.js";
import { short } from "../../shared/numbers.js";
import { series } from "../series.js";

export async function mount({ box, ask }) {
  const begun = await ask("begin");
  if (!begun) return;
  const { counts, own } = begun.numbers;
  box.append(node("p", "look-said", `This picture took ${own} steps.`));
  series(box, {
    label: `Make it in ${counts.join(", ")} steps`,
    count: counts.length,
    make: async (number) => {
      const answer = await ask("picture", { number });
      if (!answer) return null;
      const { said, calls, timestep, sigma } = answer.numbers;
      if (said) return { title: `${counts[number]} steps`, words: [said] };
      const words = [
        `${calls} calls of the U-Net`,
        `from level ${Math.round(timestep)}, noise ${short(sigma, 3)} times the signal`,
      ];
      return { url: answer.pictures.picture, title: `${counts[number]} steps`, words };
    },
  });
}
