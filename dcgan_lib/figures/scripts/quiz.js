function quiz(root, data) {
  const body = root.querySelector(".live-body");
  const set = make("fieldset", {}, body);
  make("legend", { textContent: data.question }, set);
  const verdict = make("p", { className: "live-note", role: "status" });
  data.answers.forEach((answer, i) => {
    const row = make("label", {}, set);
    const pick = make("input", { type: "radio", name: root.id, value: i }, row);
    make("span", { textContent: answer }, row);
    pick.addEventListener("change", () => {
      const right = i === data.right;
      verdict.textContent = "";
      make("strong", { className: right ? "right" : "wrong", textContent: right ? "Right. " : "Not quite. " }, verdict);
      verdict.append(right ? data.why : "Pick again.");
      root.dataset.verdict = right ? "right" : "wrong";
    });
  });
  body.appendChild(verdict);
}
