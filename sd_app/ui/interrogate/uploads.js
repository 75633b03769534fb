// Several pictures (see album.py). The value is {pictures: list of {file, name}, text}.
const root = element.querySelector(".album");
const find = (name) => root.querySelector(".album-" + name);
const pictures = () => props.value?.pictures ?? [];

function draw() {
  const message = root.querySelector(".easel-message");
  message.textContent = props.value?.text ?? "";
  message.hidden = !props.value?.text;
  find("hint").hidden = pictures().length > 0;
  find("clear").hidden = !pictures().length;
  find("count").textContent = pictures().length ? `${pictures().length} of ${MOST}` : "";
  find("open").disabled = pictures().length >= MOST;
  find("pictures").replaceChildren(...pictures().map((picture, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = picture.name + ": press to remove it";
    button.setAttribute("aria-label", "Remove " + picture.name);
    const image = new Image();
    image.alt = "";
    image.onload = () => image.classList.toggle("crisp", Math.max(image.naturalWidth, image.naturalHeight) <= 384);
    image.src = picture.file.url;
    button.append(image);
    button.addEventListener("click", () => keep(pictures().filter((_, at) => at !== index)));
    return button;
  }));
}

function keep(list) {
  props.value = { pictures: list, text: "" };
  draw();
  trigger("painted");
}

async function take(files) {
  root.dataset.busy = "true";
  try {
    const added = [];
    for (const file of files) added.push({ path: (await upload(file)).path, name: file.name });
    trigger("picked", { files: added });
  } catch (error) {
    props.value = { pictures: pictures(), text: "The pictures could not be uploaded: " + (error.message || error) };
    draw();
  } finally {
    delete root.dataset.busy;
  }
}

let seen = "";
function receive() {
  draw();
  const paths = pictures().map((picture) => picture.file.path).join();
  if (paths !== seen) trigger("painted");
  seen = paths;
}

find("open").addEventListener("click", () => {
  find("file").value = "";
  find("file").click();
});
find("clear").addEventListener("click", () => keep([]));
find("file").addEventListener("change", (event) => { if (event.target.files.length) take([...event.target.files]); });
root.addEventListener("pictures", (event) => take(event.detail));
watch("value", receive);
receive();
