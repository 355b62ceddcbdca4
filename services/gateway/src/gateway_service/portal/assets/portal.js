// The token lives in this module's memory alone and is gone with the page.
let token = null;
let following = null;

const zh = document.documentElement.lang === "zh-CN";
const say = (chinese, english) => (zh ? chinese : english);
const at = (id) => document.getElementById(id);
const LABELS = {
  applied: say("申请中", "applied"), returned: say("已退回", "returned"), active: say("在籍", "active"),
  transferring: say("转接中", "transferring"), retained: say("保留会籍", "retained"), withdrawn: say("已退会", "withdrawn"),
  deceased: say("已去世", "deceased"), female: say("女", "women"), male: say("男", "men"), unknown: say("未知", "unknown"),
  contract: say("合同制", "contract"), dispatched: say("劳务派遣", "dispatched"), flexible: say("灵活就业", "flexible"),
  new_form: say("新就业形态", "new form"), migrant: say("农民工", "migrant"), retired: say("退休", "retired"), other: say("其他", "other"),
};
const number = new Intl.NumberFormat(zh ? "zh-CN" : "en");

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

async function call(path) {
  const answer = await fetch(path, {
    headers: { Authorization: `Bearer ${token}`, "Accept-Language": document.documentElement.lang },
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail || body.title || String(answer.status));
  return body;
}

async function offerUsers() {
  const answer = await fetch("/identity/demo-users").catch(() => null);
  if (!answer?.ok) {
    at("sign-in-hint").textContent = say(
      "此处没有演示用户：请在下方“Authorize”中填入访问令牌。",
      "There are no demo users here: paste an access token under “Authorize” below.",
    );
    return;
  }
  const { users, password } = await answer.json();
  for (const user of users) {
    const button = element("button", { type: "button" }, zh ? user.zh : user.en, element("small", {}, user.username));
    button.addEventListener("click", () => signIn(user, password));
    at("users").append(button);
  }
}

async function signIn(user, password) {
  const answer = await fetch("/identity/token", {
    method: "POST",
    body: new URLSearchParams({ grant_type: "password", client_id: "unionhall-console", username: user.username, password, scope: "openid" }),
  });
  const body = await answer.json();
  if (!answer.ok) {
    at("sign-in-hint").textContent = body.error_description || body.error;
    at("sign-in-hint").className = "hint problem";
    return;
  }
  token = body.access_token;
  at("who").textContent = zh ? user.zh : user.en;
  for (const id of ["who", "sign-out", "home"]) at(id).hidden = false;
  at("sign-in").hidden = true;
  await showHome();
}

function signOut() {
  token = null;
  following?.abort();
  for (const id of ["who", "sign-out", "home", "live"]) at(id).hidden = true;
  at("sign-in").hidden = false;
}

async function showHome() {
  at("figures").replaceChildren();
  try {
    const me = await call("/api/v1/me");
    const post = me.posts[0];
    if (!post) {
      at("unit").textContent = say("您好", "Welcome");
      at("home-hint").textContent = say("您没有岗位，因此看不到组织的数据。", "You hold no post, so there are no figures to show.");
      return;
    }
    at("unit").textContent = post.organisation.name;
    const { id } = post.organisation;
    const draw = () => showDashboard(id).catch(tell);
    at("on").onchange = draw;
    await draw();
    follow(id, draw);
  } catch (problem) {
    tell(problem);
  }
}

function tell(problem) {
  at("home-hint").textContent = problem.message;
}

async function showDashboard(id) {
  const on = at("on").value;
  const dashboard = await call(`/api/v1/organisations/${id}/dashboard?days=30${on ? `&on=${on}` : ""}`);
  at("on").value = dashboard.on;
  at("home-hint").textContent = dashboard.as_of
    ? say("数据截至 ", "Data up to ") + new Date(dashboard.as_of).toLocaleString(zh ? "zh-CN" : "en")
    : "";
  at("figures").replaceChildren(
    element("div", { className: "figure" }, element("h3", {}, say("会员", "Members")),
      element("div", { className: "total" }, number.format(dashboard.members)),
      element("h3", {}, say("近 30 天入会", "Joined, last 30 days")), days(dashboard)),
    bars(say("会籍状态", "Status"), dashboard.by_status),
    bars(say("性别", "Gender"), dashboard.by_gender),
    bars(say("年龄", "Age"), dashboard.by_age_band),
    bars(say("用工形式", "Employment form"), dashboard.by_employment_form),
  );
}

function bars(title, counts) {
  const most = Math.max(1, ...Object.values(counts));
  return element("div", { className: "figure" }, element("h3", {}, title),
    ...Object.entries(counts).map(([name, count]) =>
      element("div", { className: "bar" }, element("span", {}, LABELS[name] ?? name),
        element("meter", { max: most, value: count, title: String(count) }), element("b", {}, number.format(count)))));
}

function days({ on, per_day: changes }) {
  const joined = new Map(changes.map((day) => [day.day, day.joined]));
  const most = Math.max(1, ...joined.values());
  const chart = element("div", { className: "days" });
  for (let ago = 29; ago >= 0; ago -= 1) {
    const day = new Date(Date.parse(on) - ago * 86400000).toISOString().slice(0, 10);
    const count = joined.get(day) ?? 0;
    const bar = element("i", { title: `${day}: ${number.format(count)}` });
    bar.style.height = `${(100 * count) / most}%`;
    chart.append(bar);
  }
  return chart;
}

// EventSource cannot send a token; reading the stream of a fetch can.
async function follow(id, changed) {
  following?.abort();
  following = new AbortController();
  const { signal } = following;
  while (!signal.aborted) {
    try {
      const answer = await fetch(`/api/v1/organisations/${id}/live`, { signal, headers: { Authorization: `Bearer ${token}` } });
      if (!answer.ok) return;
      at("live").hidden = false;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        if (piece.value.includes("event:")) changed();
      }
    } catch {
      if (signal.aborted) return;
    }
    at("live").hidden = true;
    await new Promise((resolve) => setTimeout(resolve, 3000));
  }
}

function withToken(request) {
  if (token && !request.headers.Authorization) request.headers.Authorization = `Bearer ${token}`;
  if (request.method === "POST" && !request.headers["Idempotency-Key"]) request.headers["Idempotency-Key"] = crypto.randomUUID();
  request.headers["Accept-Language"] = document.documentElement.lang;
  return request;
}

at("sign-out").addEventListener("click", signOut);
offerUsers();
window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: "/openapi.json", dom_id: "#swagger", deepLinking: true, docExpansion: "none", filter: true,
    tryItOutEnabled: true, requestInterceptor: withToken, defaultModelsExpandDepth: -1, validatorUrl: null,
  });
});
