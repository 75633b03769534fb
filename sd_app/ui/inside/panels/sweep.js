// The same noise at several guidance scales, with two meters.
import { node } from "../../shared/dom.js";
import { series } from "../series.js";

export async function mount({ box, ask }) {
  const begun = await ask("begin");
  if (!begun) return;
  const { scales, own } = begun.numbers;
  box.append(node("p", "look-said", `This picture was made at ${own}. Each scale takes four pictures.`));
  series(box, {
    label: `Make them at ${scales.join(", ")}`,
    count: scales.length,
    make: async (number) => {
      const answer = await ask("point", { number });
      if (!answer) return null;
      const { scale, likeness, clipped } = answer.numbers;
      const words = [
        `likeness of seeds ${likeness?.toFixed(2) ?? "unknown"}`,
        `clipped ${(100 * clipped).toFixed(1)} %`,
      ];
      return { url: answer.pictures["seed 0"], title: `Guidance ${scale}`, words };
    },
  });
}
