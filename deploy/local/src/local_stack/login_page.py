"""The pages of the local issuer, in both languages, without a script."""

from html import escape

from local_stack.users import PASSWORD, demo_users

STYLE = """
body{font:16px/1.5 system-ui,"Noto Sans SC","PingFang SC","Microsoft YaHei",sans-serif;margin:0;background:#f4f2ee;color:#222}
main{max-width:42rem;margin:2rem auto;padding:0 1rem}h1{font-size:1.4rem}small{color:#555}
form{margin:0}ul{list-style:none;padding:0;display:grid;gap:.5rem}
li button{width:100%;text-align:left;padding:.7rem 1rem;font:inherit;cursor:pointer}
li button{background:#fff;border:1px solid #bbb;border-radius:.4rem}
li button:hover,li button:focus-visible{border-color:#a31515;outline:2px solid #a31515}
.wrong{color:#a31515}.by-name{display:flex;gap:.5rem;flex-wrap:wrap;align-items:end}label{display:grid}
input,.by-name button{font:inherit;padding:.4rem .6rem;border:1px solid #888;border-radius:.3rem}
"""
#: What the sign-in carries through the form.
CARRIED = (
    "client_id",
    "redirect_uri",
    "response_type",
    "code_challenge",
    "code_challenge_method",
    "state",
    "nonce",
    "scope",
)


def login_page(action: str, asked: dict[str, str], *, wrong: bool = False) -> str:
    """The list of demo users, one click each, and a form for name and password. `action` is where it is sent."""
    carried = "".join(_hidden(name, asked[name]) for name in CARRIED if asked.get(name))
    users = "".join(
        f'<li><form method="post" action="{escape(action)}">{carried}{_hidden("username", user.username)}'
        f"{_hidden('password', PASSWORD)}"
        f'<button>{escape(user.zh)} <small lang="en">{escape(user.en)}</small></button></form></li>'
        for user in demo_users()
    )
    error = (
        '<p class="wrong" role="alert">用户名或密码不对。<span lang="en">Wrong name or password.</span></p>'
        if wrong
        else ""
    )
    return _page(
        "登录（演示）",
        "Sign in (demo)",
        f"""<p>这里的人都是虚构的；点一下即可登录。<br><small lang="en">Nobody here exists; one click signs in.</small></p>{error}
<ul>{users}</ul>
<form method="post" action="{escape(action)}" class="by-name">{carried}
<label>用户名 <small lang="en">Name</small><input name="username" autocomplete="username" required></label>
<label>密码 <small lang="en">Password</small>
<input name="password" type="password" autocomplete="current-password" required></label>
<button>登录 <small lang="en">Sign in</small></button></form>""",
    )


def message_page(zh: str, en: str) -> str:
    """One sentence."""
    return _page(zh, en, "")


def _page(zh: str, en: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>职工之家 · {escape(zh)}</title><style>{STYLE}</style></head>
<body><main><h1>{escape(zh)} <small lang="en">{escape(en)}</small></h1>{body}</main></body></html>"""


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
