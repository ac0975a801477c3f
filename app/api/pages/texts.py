"""Every text of the pages, in English and Chinese."""

from __future__ import annotations

from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
_HTML_CODES = {"en": "en", "zh": "zh-CN"}

#: English and Chinese. `{...}` is filled in; those that begin with `js_` go to the try-it page's script.
TEXTS: dict[str, tuple[str, str]] = {
    "title_status": ("openim-direct: status", "openim-direct：状态"),
    "title_login": ("openim-direct: log in", "openim-direct：登录"),
    "title_upload": ("openim-direct: try an upload", "openim-direct：试传文件"),
    "to_status": ("Status", "状态"),
    "to_upload": ("Try an upload", "试传文件"),
    # Status page.
    "all_well": ("All is well", "一切正常"),
    "all_well_detail": (
        "{instances} of {instances} instances and {nodes} of {nodes} nodes are up.",
        "{instances} 个实例和 {nodes} 个节点全部正常。",
    ),
    "all_well_unknown": (
        "{instances} of {instances} instances are up, and {up} of {nodes} nodes; the others cannot be asked from here.",
        "{instances} 个实例全部正常；{nodes} 个节点中 {up} 个正常，其余无法从此处查询。",
    ),
    "node_down": ("Node {id} is down", "节点 {id} 故障"),
    "instance_silent": ("Instance {id} does not answer", "实例 {id} 无响应"),
    "instance_down": ("Instance {id} is not ready", "实例 {id} 未就绪"),
    "and_more": ("and {n} more", "另有 {n} 项"),
    "sentence_gap": (". ", "；"),
    "comma": (", ", "，"),
    "colon": (": ", "："),
    "since": ("since", "开始于"),
    "since_unknown": ("since when is not known", "开始时间未知"),
    "ago": ("{time} ago", "{time}前"),
    "seconds": ("{n} s", "{n} 秒"),
    "minutes": ("{n} min", "{n} 分钟"),
    "hours": ("{n} h", "{n} 小时"),
    "days": ("{n} d", "{n} 天"),
    "no_reason": ("no reason given", "未说明原因"),
    "note_errors": (
        "Instance {id}: requests that failed by the server's fault in the last 5 minutes: {n}.",
        "实例 {id} 最近 5 分钟有 {n} 个请求因服务端故障而失败。",
    ),
    "note_drain": ("Node {id} drains: it takes no new uploads.", "节点 {id} 正在迁出：不接受新的上传。"),
    "note_silent": (
        "Instance {id} is ready but told no figures, so it is missing in the plots.",
        "实例 {id} 已就绪，但未提供数据，因此图中没有它。",
    ),
    "seen_from": ("Seen from instance {id}, at", "由实例 {id} 查看，时间"),
    "stale": ("This page could not be refreshed; the figures are old.", "页面刷新失败，数据已过时。"),
    "instances": ("Instances", "实例"),
    "nodes": ("MinIO nodes", "MinIO 节点"),
    "instance": ("Instance", "实例"),
    "node": ("Node", "节点"),
    "up": ("Up", "状态"),
    "yes": ("yes", "正常"),
    "no": ("no", "故障"),
    "unknown": ("not known", "未知"),
    "here": ("this one", "当前"),
    "latency": ("Requests p50 / p99", "请求延迟 p50 / p99"),
    "uploads": ("Uploads", "上传"),
    "uploads_failed": ("{n} failed", "失败 {n}"),
    "share": ("Share of load", "负载占比"),
    "forwards": ("Forwards", "转发"),
    "errors": ("Errors", "错误"),
    "last_minutes": (
        "Figures of the last 5 minutes. Uploads: those that were completed, and those whose content was there already.",
        "最近 5 分钟的数据。上传数包括已完成的上传和内容已存在（秒传）的上传。",
    ),
    "probe": ("Probe p50 / p99", "探测延迟 p50 / p99"),
    "one_probe": ("(one probe)", "（单次探测）"),
    "objects": ("Objects", "对象数"),
    "bytes": ("Size", "容量"),
    "drain": ("Drain", "迁出"),
    "drain_yes": ("drains", "迁出中"),
    "drain_no": ("no", "否"),
    "no_node": ("(not known)", "（未知）"),
    "nodes_note": (
        "Objects and size are what the records know. A node of several instances shows the slowest one's view of it.",
        "对象数和容量来自记录库。多个实例共用的节点显示其中最慢实例的探测延迟。",
    ),
    "last_hour": ("The last hour", "最近一小时"),
    "plot_latency": ("Requests, p99", "请求延迟 p99"),
    "plot_node": ("Nodes, mean of the probes", "节点探测平均延迟"),
    "plot_requests": ("Requests per second", "每秒请求数"),
    "plot_uploads": ("Uploads per minute", "每分钟上传数"),
    "unit_ms": ("ms", "毫秒"),
    "unit_per_second": ("requests/s", "请求/秒"),
    "unit_per_minute": ("uploads/min", "上传/分钟"),
    "plot_empty": ("nothing was measured", "暂无数据"),
    "plot_now": ("now {now}, max {most}", "当前 {now}，最高 {most}"),
    "plot_past": ("max {most}", "最高 {most}"),
    "plot_none": ("no figures", "无数据"),
    "axis_utc": ("time, UTC", "时间（UTC）"),
    "axis_local": ("time, here", "本地时间"),
    "find": ("Which node holds a name?", "查询对象所在节点"),
    "find_label": ("Object name", "对象名"),
    "find_button": ("Look", "查询"),
    "no_such_name": ("No such name", "没有此对象名"),
    "found_on": ("On node {node}", "位于节点 {node}"),
    "name": ("Name", "对象名"),
    "key": ("Key in the bucket", "存储键"),
    "hash": ("Hash", "哈希"),
    "size": ("Size", "大小"),
    "size_bytes": ("{n} bytes", "{n} 字节"),
    "content_type": ("Content type", "内容类型"),
    "user": ("Uploaded by", "上传者"),
    "created": ("Uploaded at", "上传时间"),
    # Login page.
    "login": ("Status of openim-direct", "openim-direct 状态"),
    "login_why": (
        "This page is for administrators: enter the token of a user who is listed in auth.admins. "
        "On a server with instances.yaml this makes one:",
        "此页面仅供管理员使用。请输入 auth.admins 中某个用户的 token；在有 instances.yaml 的服务器上可用以下命令生成：",
    ),
    "login_refused": (
        "This token was refused: it is not an administrator's, it has expired, or it was signed with another secret.",
        "token 被拒绝：不是管理员的 token、已过期，或由其他 secret 签发。",
    ),
    "login_button": ("Show the status", "查看状态"),
    "token": ("Token", "Token"),
    # Try-it page.
    "upload": ("Try an upload", "试传文件"),
    "upload_why": (
        "Uploads a file as a browser client of OpenIM does, and shows which instance and which node served each step.",
        "按 OpenIM 浏览器客户端的方式上传文件，并显示每一步由哪个实例、哪个节点处理。",
    ),
    "token_label": ("OpenIM token of the user who uploads", "上传用户的 OpenIM token"),
    "file_label": ("File or photo", "文件或照片"),
    "prefix_label": ("Put before the file's name (may be empty)", "文件名前缀（可为空）"),
    "name_note": ("The object is named userID/prefix + file name.", "对象名为 userID/前缀 + 文件名。"),
    "start": ("Upload", "开始上传"),
    "operation": ("operationID, for the logs:", "operationID（用于查日志）："),
    "progress": ("Progress", "进度"),
    "steps": ("Steps", "步骤"),
    "step": ("Step", "步骤"),
    "status": ("HTTP / errCode", "HTTP / errCode"),
    "pin": ("Pinned by", "固定依据"),
    "time": ("Time", "耗时"),
    "picture": ("The picture", "图片"),
    "thumbnail": ("Its thumbnail", "缩略图"),
    "no_script": ("This page needs JavaScript.", "此页面需要 JavaScript。"),
    "js_hashing": ("Hashing part {n} of {parts}", "计算分片哈希 {n} / {parts}"),
    "js_putting": ("Sending part {n} of {parts}", "上传分片 {n} / {parts}"),
    "js_completing": ("Completing", "正在完成"),
    "js_done": ("Uploaded: {size} in {ms} ms.", "上传成功：{size}，用时 {ms} 毫秒。"),
    "js_dedupe": (
        "The content was there already (same hash): no byte was sent, only the name was recorded. {ms} ms.",
        "秒传：内容已存在（哈希相同），未发送任何数据，仅登记了对象名。用时 {ms} 毫秒。",
    ),
    "js_failed": ("Failed at: {step}", "失败步骤：{step}"),
    "js_name": ("Name: {name}", "对象名：{name}"),
    "js_hash_step": ("MD5 of {parts} parts", "{parts} 个分片的 MD5"),
    "js_put_step": ("PUT part {n}", "PUT 分片 {n}"),
    "js_no_answer": ("no answer", "无响应"),
    "js_no_envelope": ("HTTP {status}, and no OpenIM answer: {text}", "HTTP {status}，不是 OpenIM 的应答：{text}"),
    "js_no_token": ("Enter a token.", "请输入 token。"),
    "js_bad_token": ("This is no OpenIM token: it holds no UserID.", "这不是 OpenIM token：其中没有 UserID。"),
    "js_no_file": ("Choose a file.", "请选择文件。"),
    "js_empty_file": ("The file is empty, and OpenIM takes no empty files.", "文件为空，OpenIM 不接受空文件。"),
    "js_unreadable": ("The file cannot be read any more: {why}", "文件无法读取：{why}"),
    "js_no_picture": (
        "The upload succeeded, but the browser cannot show it.",
        "上传成功，但浏览器无法显示此图片。",
    ),
    "js_hint_token": ("A token for tests: openim-direct token USER", "测试用 token：openim-direct token USER"),
    "js_hint_network": (
        "Can this browser reach the API's address, and was the server stopped meanwhile?",
        "请检查浏览器能否访问 API 地址，以及服务是否中途停止。",
    ),
    "js_hint_put": (
        "Can this browser reach the node at {where}? It is the node's sign_endpoint in instances.yaml. "
        "A page over https cannot send to http.",
        "请检查浏览器能否访问节点 {where}（instances.yaml 中该节点的 sign_endpoint）。https 页面无法向 http 地址发送数据。",
    ),
    "js_hint_403": (
        "The node refuses the signature: does a proxy change Host or path on the way to sign_endpoint? "
        "Are keys and clocks right?",
        "节点拒绝了签名：请检查到 sign_endpoint 途中的代理是否改了 Host 或路径，以及密钥和时钟是否正确。",
    ),
    "js_hint_413": (
        "A proxy limits the size of bodies: client_max_body_size in nginx.",
        "代理限制了请求体大小：nginx 的 client_max_body_size。",
    ),
    "js_hint_proxy": (
        "The answer is not from openim-direct: look at the proxy in front, and whether it sends /object/ here.",
        "应答不是来自 openim-direct：请检查前面的代理是否把 /object/ 转发到此处。",
    ),
    "js_hint_1001": ("The name or the request is not taken; the cause says why.", "对象名或请求不被接受，原因见上。"),
    "js_hint_1002": (
        "A user writes only names under userID/; admins may write any.",
        "用户只能写入 userID/ 下的对象名，管理员不受限制。",
    ),
    "js_hint_1004": ("The name is not, or no longer, in the records.", "记录中没有此对象名。"),
    "js_hint_1505": (
        "The token is wrong, has expired, or another secret signed it: take a new one (openim-direct token USER).",
        "token 错误、已过期或由其他 secret 签发：请重新获取（openim-direct token USER）。",
    ),
    "js_hint_1506": (
        "The user logged in elsewhere: log in again and take the new token.",
        "用户已在别处登录：请重新登录并使用新的 token。",
    ),
    "js_hint_1507": (
        "The token is not in OpenIM's Redis: take one of a logged-in user; with auth.redis, made ones do not suffice.",
        "token 不在 OpenIM 的 Redis 中：请使用已登录用户的 token；设置了 auth.redis 时，命令生成的 token 不够。",
    ),
    "js_hint_500": ("Search the instance's log for the operationID.", "请用 operationID 搜索该实例的日志。"),
    "js_hint_90002": ("The database of the records, or Redis, is down.", "记录数据库或 Redis 故障。"),
    "js_hint_90004": (
        "A node or an instance cannot be reached; the status page says which.",
        "节点或实例无法访问，详见状态页。",
    ),
    "js_hint_90007": ("The content is no picture that a thumbnail is made of.", "内容不是可生成缩略图的图片。"),
}


def texts(language: Language) -> dict[str, str]:
    which = LANGUAGES.index(language)
    return {key: pair[which] for key, pair in TEXTS.items()} | {"html_code": _HTML_CODES[language]}


def language(accept_language: str) -> Language:
    """The one of our languages that a browser's Accept-Language header likes best; English where it likes neither."""
    best: Language = "en"
    liking = 0.0
    for item in accept_language.split(","):
        tag, _, parameters = item.partition(";")
        primary = tag.strip().lower().split("-")[0]
        quality = _quality(parameters)
        for candidate in LANGUAGES:
            if primary == candidate and quality > liking:
                best, liking = candidate, quality
    return best


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
