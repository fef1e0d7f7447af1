// The fields of an address are named as people of the chosen country name them. Without this script a button does that.
const select = document.querySelector("select[data-labels]");
const labels = JSON.parse(select.dataset.labels);
select.addEventListener("change", () => {
  const words = labels[select.value] ?? labels[""];
  ["city", "region", "postcode"].forEach((field, index) => {
    document.querySelector(`label[for=id_${field}]`).firstChild.data = `${words[index]} `;
  });
});
