"""Demo menus of the eight usual formats. Names, prices and recipes are made up for the demo; every figure in them is a guess [G].

What a format's kitchen and stock go by stands in `store_rules.py`.
"""

from __future__ import annotations

from refsystem.ordering.menu import DEMO_MENU, Menu, dish, places, stock
from refsystem.ordering.store_rules import Format

HOTPOT = Menu(
    (
        dish("spicy-base", "Spicy beef-fat broth", "牛油麻辣锅底", 6800, "broth", 1, "beef-fat:400 stock:1500"),
        dish("tomato-base", "Tomato broth", "番茄锅底", 5800, "broth", 1, "tomatoes:500 stock:1500"),
        dish("split-base", "Two broths", "鸳鸯锅底", 7200, "broth", 1, "beef-fat:200 tomatoes:250 stock:1500"),
        dish("beef-slices", "Sliced beef", "精品肥牛", 5600, "meat", 2, "beef:200"),
        dish("lamb-slices", "Sliced lamb", "羔羊肉卷", 5200, "meat", 2, "lamb:200"),
        dish("tripe", "Beef tripe", "鲜毛肚", 5800, "meat", 2, "tripe:150"),
        dish("duck-blood", "Duck blood", "鸭血", 1800, "meat", 2, "duck-blood:250"),
        dish("shrimp-paste", "Shrimp paste", "虾滑", 4200, "meat", 2, "shrimp:180"),
        dish("crown-daisy", "Crown daisy", "茼蒿", 1400, "vegetables", 2, "greens:250"),
        dish("potato-slices", "Sliced potato", "土豆片", 1000, "vegetables", 2, "potatoes:250"),
        dish("frozen-tofu", "Frozen tofu", "冻豆腐", 1200, "vegetables", 2, "tofu:250"),
        dish("pulled-noodles", "Pulled noodles", "捞面", 1000, "vegetables", 3, "noodles:1"),
        dish("ice-jelly", "Ice jelly", "冰粉", 1000, "drinks", 3, "jelly:1"),
        dish("plum-juice", "Sour plum juice", "酸梅汤", 1800, "drinks", 1, "plum-juice:500"),
    ),
    stations=places(
        ("broth", "Broth", "锅底"),
        ("meat", "Meat", "荤菜"),
        ("vegetables", "Vegetables", "素菜"),
        ("drinks", "Drinks", "饮品"),
    ),
    ingredients=(
        stock("beef-fat", "Beef fat", "牛油", "g", 24_000, shelf_days=90),
        stock("stock", "Stock", "高汤", "ml", 120_000, "optimistic", 1),
        stock("tomatoes", "Tomatoes", "番茄", "g", 20_000, shelf_days=5),
        stock("beef", "Beef", "肥牛", "g", 24_000, shelf_days=30),
        stock("lamb", "Lamb", "羔羊肉", "g", 20_000, shelf_days=30),
        stock("tripe", "Beef tripe", "毛肚", "g", 9_000, "escrow", 2),
        stock("duck-blood", "Duck blood", "鸭血", "g", 12_000, shelf_days=2),
        stock("shrimp", "Shrimp paste", "虾滑", "g", 10_800, "escrow", 3),
        stock("greens", "Greens", "青菜", "g", 15_000, shelf_days=2),
        stock("potatoes", "Potatoes", "土豆", "g", 15_000, "optimistic", 30),
        stock("tofu", "Tofu", "豆腐", "g", 15_000, shelf_days=4),
        stock("noodles", "Noodles", "面条", "piece", 80, shelf_days=3),
        stock("jelly", "Ice jelly", "冰粉", "piece", 80, shelf_days=1),
        stock("plum-juice", "Sour plum juice", "酸梅汤", "ml", 40_000, shelf_days=7),
    ),
)

FAST_FOOD = Menu(
    (
        dish("chicken-burger", "Chicken burger", "香辣鸡腿堡", 2100, "grill", 1, "buns:1 chicken:1"),
        dish("beef-burger", "Beef burger", "牛肉堡", 2300, "grill", 1, "buns:1 beef-patties:1"),
        dish("double-beef", "Double beef burger", "双层牛肉堡", 3100, "grill", 1, "buns:1 beef-patties:2"),
        dish("nuggets", "Chicken nuggets", "鸡块", 1300, "fryer", 1, "nuggets:5"),
        dish("fries", "Fries", "薯条", 1100, "fryer", 1, "potatoes:120"),
        dish("wings", "Spicy wings", "香辣鸡翅", 1400, "fryer", 1, "wings:2"),
        dish("corn", "Corn cup", "玉米杯", 900, "counter", 1, "corn:120"),
        dish("cola", "Cola", "可乐", 900, "counter", 1, "cola:400"),
        dish("sundae", "Sundae", "圣代", 1000, "counter", 1, "ice-cream:150"),
    ),
    stations=places(("grill", "Grill", "煎扒"), ("fryer", "Fryer", "炸炉"), ("counter", "Counter", "配餐台")),
    ingredients=(
        stock("buns", "Buns", "面包胚", "piece", 500, shelf_days=3),
        stock("chicken", "Chicken thighs", "鸡腿排", "piece", 300, "escrow", 2),
        stock("beef-patties", "Beef patties", "牛肉饼", "piece", 300, shelf_days=30),
        stock("nuggets", "Nuggets", "鸡块", "piece", 1_000, shelf_days=90),
        stock("potatoes", "Potato sticks", "薯条", "g", 60_000, "optimistic", 180),
        stock("wings", "Wings", "鸡翅", "piece", 400, shelf_days=3),
        stock("corn", "Corn", "玉米粒", "g", 10_000, shelf_days=30),
        stock("cola", "Cola", "可乐", "ml", 150_000, "optimistic", 90),
        stock("ice-cream", "Ice cream mix", "冰淇淋浆", "ml", 20_000, shelf_days=7),
    ),
)

TEA = Menu(
    (
        dish("pearl-milk-tea", "Pearl milk tea", "珍珠奶茶", 1500, "bar", 1, "tea:250 milk:150 pearls:60 cups:1"),
        dish(
            "cheese-grape", "Grape tea with cheese", "芝士葡萄", 2200, "bar", 1, "tea:200 grapes:120 cheese:50 cups:1"
        ),
        dish("mango-sago", "Mango sago", "杨枝甘露", 2000, "bar", 1, "mango:150 milk:150 sago:40 cups:1"),
        dish("lemon-tea", "Crushed lemon tea", "手打柠檬茶", 1600, "bar", 1, "tea:400 lemons:1 cups:1"),
        dish("oolong-latte", "Oolong latte", "乌龙奶茶", 1700, "bar", 1, "tea:300 milk:150 cups:1"),
        dish("jasmine-tea", "Jasmine tea", "茉莉绿茶", 900, "bar", 1, "tea:450 cups:1"),
        dish("taro-bowl", "Taro bowl", "芋泥碗", 1800, "toppings", 1, "taro:120 milk:100 cups:1"),
    ),
    stations=places(("bar", "Bar", "吧台"), ("toppings", "Toppings", "小料")),
    ingredients=(
        stock("tea", "Brewed tea", "茶汤", "ml", 150_000, shelf_days=1),
        stock("milk", "Milk", "牛奶", "ml", 60_000, shelf_days=7),
        stock("pearls", "Pearls", "珍珠", "g", 15_000, "escrow", 1),
        stock("grapes", "Grapes", "葡萄", "g", 12_000, "escrow", 3),
        stock("cheese", "Cheese foam", "芝士奶盖", "g", 6_000, shelf_days=1),
        stock("mango", "Mango", "芒果", "g", 12_000, shelf_days=3),
        stock("sago", "Sago", "西米", "g", 4_000, shelf_days=1),
        stock("lemons", "Perfume lemons", "香水柠檬", "piece", 200, shelf_days=10),
        stock("taro", "Taro paste", "芋泥", "g", 8_000, shelf_days=1),
        stock("cups", "Cups", "杯子", "piece", 1_500, "optimistic"),
    ),
)

COFFEE = Menu(
    (
        dish("americano", "Americano", "美式咖啡", 1500, "espresso", 1, "beans:18 cups:1"),
        dish("latte", "Latte", "拿铁", 1900, "espresso", 1, "beans:18 milk:220 cups:1"),
        dish("coconut-latte", "Coconut latte", "生椰拿铁", 2100, "espresso", 1, "beans:18 coconut-milk:220 cups:1"),
        dish("flat-white", "Flat white", "澳白", 2000, "espresso", 1, "beans:20 milk:150 cups:1"),
        dish("cold-brew", "Cold brew", "冷萃", 2200, "cold-bar", 1, "cold-brew:300 cups:1"),
        dish("matcha", "Matcha latte", "抹茶拿铁", 2000, "cold-bar", 1, "matcha:5 milk:250 cups:1"),
        dish("croissant", "Croissant", "可颂", 1400, "pastry", 1, "croissants:1"),
        dish("cheesecake", "Cheesecake", "芝士蛋糕", 2600, "pastry", 1, "cheesecakes:1"),
    ),
    stations=places(("espresso", "Espresso", "咖啡机"), ("cold-bar", "Cold bar", "冷饮"), ("pastry", "Pastry", "甜点")),
    ingredients=(
        stock("beans", "Coffee beans", "咖啡豆", "g", 10_000, "optimistic", 60),
        stock("milk", "Milk", "牛奶", "ml", 60_000, shelf_days=7),
        stock("coconut-milk", "Coconut milk", "生椰乳", "ml", 30_000, "escrow", 5),
        stock("cold-brew", "Cold brew", "冷萃液", "ml", 9_000, shelf_days=2),
        stock("matcha", "Matcha", "抹茶粉", "g", 400, shelf_days=180),
        stock("croissants", "Croissants", "可颂", "piece", 40, "escrow", 1),
        stock("cheesecakes", "Cheesecake slices", "芝士蛋糕", "piece", 24, "escrow", 2),
        stock("cups", "Cups", "杯子", "piece", 800, "optimistic"),
    ),
)

BAKERY = Menu(
    (
        dish("toast", "Milk toast", "牛奶吐司", 1800, "shelf", 1, "toasts:1"),
        dish("pineapple-bun", "Pineapple bun", "菠萝包", 800, "shelf", 1, "pineapple-buns:1"),
        dish("egg-tart", "Egg tart", "蛋挞", 600, "shelf", 1, "egg-tarts:1"),
        dish("baguette", "Baguette", "法棍", 1200, "shelf", 1, "baguettes:1"),
        dish("ham-sandwich", "Ham sandwich", "火腿三明治", 1600, "cold", 1, "sandwiches:1"),
        dish("birthday-cake", "Birthday cake, 6 inches", "六寸生日蛋糕", 13800, "cakes", 1, "cakes:1"),
        dish("puff", "Cream puff", "泡芙", 700, "cakes", 1, "puffs:1"),
        dish("milk", "Warm milk", "热牛奶", 900, "drinks", 1, "milk:250"),
    ),
    stations=places(
        ("shelf", "Shelf", "货架"), ("cold", "Cold", "冷柜"), ("cakes", "Cakes", "裱花"), ("drinks", "Drinks", "饮品")
    ),
    ingredients=(
        stock("toasts", "Milk toast", "牛奶吐司", "piece", 40, "escrow", 2),
        stock("pineapple-buns", "Pineapple buns", "菠萝包", "piece", 60, "escrow", 1),
        stock("egg-tarts", "Egg tarts", "蛋挞", "piece", 120, "escrow", 1),
        stock("baguettes", "Baguettes", "法棍", "piece", 30, "escrow", 1),
        stock("sandwiches", "Sandwiches", "三明治", "piece", 30, "escrow", 1),
        stock("cakes", "Cakes", "蛋糕", "piece", 6, "escrow", 2),
        stock("puffs", "Cream puffs", "泡芙", "piece", 60, "escrow", 1),
        stock("milk", "Milk", "牛奶", "ml", 10_000, shelf_days=7),
    ),
)

BARBECUE = Menu(
    (
        dish("edamame", "Edamame", "毛豆", 1200, "cold", 1, "edamame:250"),
        dish("peanuts", "Boiled peanuts", "盐水花生", 1000, "cold", 1, "peanuts:200"),
        dish("lamb-skewer", "Lamb skewer", "羊肉串", 500, "charcoal", 2, "lamb-skewers:1"),
        dish("beef-skewer", "Beef skewer", "牛肉串", 500, "charcoal", 2, "beef-skewers:1"),
        dish("chicken-wing", "Grilled wing", "烤鸡翅", 800, "charcoal", 2, "wings:1"),
        dish("oysters", "Oysters with garlic", "蒜蓉生蚝", 1200, "seafood", 2, "oysters:1"),
        dish("aubergine", "Grilled aubergine", "烤茄子", 1800, "charcoal", 2, "aubergines:1"),
        dish("crayfish", "Spicy crayfish", "麻辣小龙虾", 9800, "seafood", 2, "crayfish:750"),
        dish("cold-noodles", "Grilled cold noodles", "烤冷面", 1000, "charcoal", 3, "noodles:1"),
        dish("draught-beer", "Draught beer", "扎啤", 1500, "drinks", 1, "beer:500"),
    ),
    stations=places(
        ("charcoal", "Charcoal", "炭烤"),
        ("seafood", "Seafood", "海鲜"),
        ("cold", "Cold dishes", "凉菜"),
        ("drinks", "Drinks", "饮品"),
    ),
    ingredients=(
        stock("edamame", "Edamame", "毛豆", "g", 10_000, shelf_days=2),
        stock("peanuts", "Peanuts", "花生", "g", 10_000, shelf_days=3),
        stock("lamb-skewers", "Lamb skewers", "羊肉串", "piece", 800, shelf_days=2),
        stock("beef-skewers", "Beef skewers", "牛肉串", "piece", 500, shelf_days=2),
        stock("wings", "Wings", "鸡翅", "piece", 150, shelf_days=2),
        stock("oysters", "Oysters", "生蚝", "piece", 120, "escrow", 1),
        stock("aubergines", "Aubergines", "茄子", "piece", 40, shelf_days=5),
        stock("crayfish", "Crayfish", "小龙虾", "g", 22_500, "escrow", 1),
        stock("noodles", "Cold noodles", "冷面", "piece", 60, shelf_days=7),
        stock("beer", "Draught beer", "扎啤", "ml", 100_000, "optimistic", 7),
    ),
)

CANTEEN = Menu(
    (
        dish("rice", "Rice", "米饭", 100, "line", 1, "rice:200"),
        dish("braised-pork", "Braised pork", "红烧肉", 1000, "line", 1, "pork:150"),
        dish("fried-egg", "Fried egg", "煎蛋", 200, "line", 1, "eggs:1"),
        dish("cabbage", "Stir-fried cabbage", "手撕包菜", 400, "line", 1, "cabbage:200"),
        dish("steamed-fish", "Steamed fish", "清蒸鱼块", 900, "line", 1, "fish:150"),
        dish("tofu-soup", "Tofu soup", "豆腐汤", 200, "line", 1, "tofu:80"),
        dish("noodle-soup", "Noodle soup", "汤面", 800, "noodles", 1, "noodles:1"),
        dish("yoghurt", "Yoghurt", "酸奶", 300, "line", 1, "yoghurt:1"),
    ),
    stations=places(("line", "Serving line", "打菜窗口"), ("noodles", "Noodles", "面档")),
    ingredients=(
        stock("rice", "Rice", "大米", "g", 100_000, "optimistic", 365),
        stock("pork", "Pork", "猪肉", "g", 40_000, shelf_days=2),
        stock("eggs", "Eggs", "鸡蛋", "piece", 400, shelf_days=20),
        stock("cabbage", "Cabbage", "包菜", "g", 50_000, shelf_days=5),
        stock("fish", "Fish", "鱼块", "g", 25_000, shelf_days=2),
        stock("tofu", "Tofu", "豆腐", "g", 20_000, shelf_days=2),
        stock("noodles", "Noodles", "面条", "piece", 200, shelf_days=3),
        stock("yoghurt", "Yoghurt", "酸奶", "piece", 150, shelf_days=14),
    ),
)

MENUS: dict[Format, Menu] = {
    "hotpot": HOTPOT,
    "casual": DEMO_MENU,
    "fast_food": FAST_FOOD,
    "tea": TEA,
    "coffee": COFFEE,
    "bakery": BAKERY,
    "barbecue": BARBECUE,
    "canteen": CANTEEN,
}
